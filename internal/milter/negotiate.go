package milter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// errUnfit means that the MTA cannot do what a right answer needs.
var errUnfit = errors.New("milter: the MTA does not offer what is needed")

// needed are the actions without which a verdict could not be carried out.
const needed = actAddHeaders | actAddRcpt | actDeleteRcpt | actChangeHeaders | actQuarantine

// wantedSteps are requested where offered. Needless replies cost more than all other
// work, so they are turned off.
const wantedSteps = nrConnect | nrHelo | nrMail | nrHeader | nrEOH |
	noUnknown | noData | canSkip | leadSpace

// symbols are the macros requested. A list replaces the one configured in the MTA, so
// each has every macro used at its stage.
var symbols = [...]struct {
	stage uint32
	names string
}{
	{symConnect, "j {daemon_name} v {client_addr}"},
	{symMail, "i {auth_authen} {auth_type}"},
	{symRcpt, "{rcpt_mailer} {rcpt_addr}"},
	{symEnd, "i"},
}

// terms is the result of the negotiation.
type terms struct {
	version uint32
	actions bits
	steps   bits
}

// silent reports whether c gets no reply.
func (t terms) silent(c command) bool { return t.steps&c.noReply() != 0 }

// agree reads the MTA's offer and chooses. rcptReplies says whether recipients must be
// answered. Nothing is requested that was not offered: Sendmail drops a filter that does,
// in actions and steps alike.
func agree(offer []byte, rcptReplies bool) (terms, error) {
	if len(offer) < 12 {
		return terms{}, protocolError("negotiation of %d bytes", len(offer))
	}
	version := binary.BigEndian.Uint32(offer)
	actions := bits(binary.BigEndian.Uint32(offer[4:]))
	steps := bits(binary.BigEndian.Uint32(offer[8:]))
	if version < minVersion {
		return terms{}, fmt.Errorf("%w: protocol version %d, need %d", errUnfit, version, minVersion)
	}
	if missing := needed &^ actions; missing != 0 {
		return terms{}, fmt.Errorf("%w: missing %s", errUnfit, actionNames(missing))
	}
	t := terms{
		version: min(version, maxVersion),
		actions: needed | actions&actSymbols,
		steps:   steps & wantedSteps,
	}
	if !rcptReplies {
		t.steps |= steps & nrRcpt
	}
	// A command that is not sent needs no bit for its reply.
	if steps&noData == 0 {
		t.steps |= steps & nrData
	}
	if steps&noUnknown == 0 {
		t.steps |= steps & nrUnknown
	}
	// A reply to a body chunk is needed only to end the body.
	if steps&canSkip == 0 {
		t.steps |= steps & nrBody
	}
	return t, nil
}

// appendTerms appends the answer to a negotiation.
func appendTerms(out []byte, t terms) []byte {
	out, start := beginPacket(out, byte(cmdNegotiate))
	out = binary.BigEndian.AppendUint32(out, t.version)
	out = binary.BigEndian.AppendUint32(out, uint32(t.actions))
	out = binary.BigEndian.AppendUint32(out, uint32(t.steps))
	if t.actions&actSymbols != 0 {
		for _, s := range symbols {
			out = binary.BigEndian.AppendUint32(out, s.stage)
			out = append(append(out, s.names...), 0)
		}
	}
	return endPacket(out, start)
}

func actionNames(b bits) string {
	var names []string
	for _, a := range []struct {
		bit  bits
		name string
	}{
		{actAddHeaders, "SMFIF_ADDHDRS"},
		{actAddRcpt, "SMFIF_ADDRCPT"},
		{actDeleteRcpt, "SMFIF_DELRCPT"},
		{actChangeHeaders, "SMFIF_CHGHDRS"},
		{actQuarantine, "SMFIF_QUARANTINE"},
	} {
		if b&a.bit != 0 {
			names = append(names, a.name)
		}
	}
	return strings.Join(names, ", ")
}

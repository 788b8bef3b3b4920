package analysis

import (
	"fmt"
	"slices"
	"strings"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/dns"
	"dmarcd/internal/report/destination"
)

// RecordChange states the wanted tags of a generated record: nil keeps a tag, "" removes it.
// RUA and RUF are comma-separated lists of addresses or URIs.
type RecordChange struct {
	P     *string `json:"p,omitempty"`
	SP    *string `json:"sp,omitempty"`
	NP    *string `json:"np,omitempty"`
	T     *string `json:"t,omitempty"`
	ADKIM *string `json:"adkim,omitempty"`
	ASPF  *string `json:"aspf,omitempty"`
	RUA   *string `json:"rua,omitempty"`
	RUF   *string `json:"ruf,omitempty"`
	FO    *string `json:"fo,omitempty"`
	PSD   *string `json:"psd,omitempty"`
}

// TagChange is the difference in one tag.
type TagChange struct {
	Tag    string `json:"tag"`
	Before string `json:"before"` // "" for none
	After  string `json:"after"`
}

// NewRecord is a generated record.
type NewRecord struct {
	Text    string
	Changes []TagChange // against the record that stands, or the empty one
	Notes   []string    // for people
}

// GenerateRecord makes a record for a domain from the existing one, "" for none: it keeps the
// existing tags, including unknown ones, applies the change, and puts own, an address of
// ours, first if it is missing; "" for none. A record without a valid p gets fallback. The
// error names the invalid value of the change.
func GenerateRecord(standing string, change RecordChange, own string, fallback dmarc.Policy) (NewRecord, error) {
	g := generator{tags: splitRecord(standing)}
	g.clean(fallback)
	for _, c := range []struct {
		name  string
		value *string
	}{
		{"p", change.P}, {"sp", change.SP}, {"np", change.NP}, {"t", change.T}, {"adkim", change.ADKIM}, {"aspf", change.ASPF},
		{"psd", change.PSD}, {"fo", change.FO},
	} {
		if err := g.change(c.name, c.value); err != nil {
			return NewRecord{}, err
		}
	}
	if err := g.changeURIs("rua", change.RUA); err != nil {
		return NewRecord{}, err
	}
	if err := g.changeURIs("ruf", change.RUF); err != nil {
		return NewRecord{}, err
	}
	if err := g.putFirst(own); err != nil {
		return NewRecord{}, err
	}
	out := NewRecord{Text: joinRecord(g.tags), Changes: recordChanges(standing, g.tags), Notes: g.notes}
	if len(out.Text) > maxRecordText {
		return NewRecord{}, fmt.Errorf("the record has %d octets; resolvers and tools cope badly with over %d", len(out.Text), maxRecordText)
	}
	return out, nil
}

// maxRecordText is the longest record that is generated, in octets.
const maxRecordText = 4096

type generator struct {
	tags  []recordTag
	notes []string
}

func (g *generator) note(format string, args ...any) {
	g.notes = append(g.notes, fmt.Sprintf(format, args...))
}

// find returns the index of a tag; -1 for none.
func (g *generator) find(name string) int {
	return slices.IndexFunc(g.tags, func(t recordTag) bool { return t.name == name })
}

// clean makes the existing record a sound base: a version first, each tag once, a valid
// policy.
func (g *generator) clean(fallback dmarc.Policy) {
	seen := map[string]bool{}
	g.tags = slices.DeleteFunc(g.tags, func(t recordTag) bool {
		again := seen[t.name]
		seen[t.name] = true
		switch {
		case again:
			g.note("%s stands twice in the record; the second is left out", quoted(t.name))
		case t.name != "v" && known(t.name) && t.name != "rua" && t.name != "ruf" && !validTag(t.name, t.value):
			g.note("%s=%s is invalid and is left out", t.name, quoted(t.value))
			return true
		case t.name == "pct" || t.name == "rf" || t.name == "ri":
			g.note("%s has no effect since RFC 9989; it is kept for receivers that still read it", t.name)
		}
		return again
	})
	g.tags = slices.DeleteFunc(g.tags, func(t recordTag) bool { return t.name == "v" })
	g.tags = append([]recordTag{{"v", "DMARC1"}}, g.tags...)
	if g.find("p") < 0 {
		g.set("p", string(fallback))
	}
}

// set sets a tag, in its position or, if it is new, after the tags that precede it in
// tagOrder.
func (g *generator) set(name, value string) {
	if i := g.find(name); i >= 0 {
		g.tags[i].value = value
		return
	}
	place := 0
	for i, t := range g.tags {
		if slices.Index(tagOrder, t.name) >= 0 && slices.Index(tagOrder, t.name) < slices.Index(tagOrder, name) {
			place = i + 1
		}
	}
	g.tags = slices.Insert(g.tags, place, recordTag{name, value})
}

func (g *generator) remove(name string) {
	if i := g.find(name); i >= 0 {
		g.tags = slices.Delete(g.tags, i, i+1)
	}
}

// change applies the change of one tag.
func (g *generator) change(name string, value *string) error {
	if value == nil {
		return nil
	}
	text := strings.ToLower(strings.TrimSpace(*value))
	switch {
	case text == "" && name == "p":
		return fmt.Errorf("a record cannot be without p")
	case text == "":
		g.remove(name)
		return nil
	case !validTag(name, text):
		return fmt.Errorf("%s=%s is not possible; %s", name, quoted(*value), tagWords[name])
	}
	g.set(name, text)
	return nil
}

// tagWords describe the valid values of tags.
var tagWords = map[string]string{
	"p": "it is none, quarantine or reject", "sp": "it is none, quarantine or reject", "np": "it is none, quarantine or reject",
	"t": "it is y or n", "adkim": "it is r or s", "aspf": "it is r or s", "psd": "it is y, n or u",
	"fo": "it is 0, 1, d, s or several of them with colons, 0 and 1 not together",
}

// validTag reports whether a value of a tag is valid for evaluators of records.
func validTag(name, value string) bool {
	text := "v=DMARC1; " + name + "=" + value
	if name != "p" {
		text = "v=DMARC1; p=none; " + name + "=" + value
	}
	record, err := dmarc.ParseRecord(text)
	return err == nil && value != "" && !strings.ContainsAny(value, ";") && len(record.Warnings) == 0
}

// changeURIs applies the change of a list of addresses.
func (g *generator) changeURIs(name string, value *string) error {
	if value == nil {
		return nil
	}
	var uris []string
	for part := range strings.SplitSeq(*value, ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		uri, err := reportURI(part)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if !slices.Contains(uris, uri) {
			uris = append(uris, uri)
		}
	}
	if len(uris) == 0 {
		g.remove(name)
		return nil
	}
	g.set(name, strings.Join(uris, ","))
	return nil
}

// putFirst puts our address first in rua.
func (g *generator) putFirst(own string) error {
	if own == "" {
		return nil
	}
	uri, err := reportURI(own)
	if err != nil {
		return fmt.Errorf("analysis.addresses: %w", err)
	}
	uris := []string{uri}
	if i := g.find("rua"); i >= 0 {
		for part := range strings.SplitSeq(g.tags[i].value, ",") {
			if part = strings.Trim(part, recordSpace); part != "" && !sameMailbox(part, uri) {
				uris = append(uris, part)
			}
		}
	}
	if len(uris) > destination.MaxAddresses {
		g.note("rua has %d addresses; receivers need not send to more than two, and many stop at %d", len(uris), destination.MaxAddresses)
	}
	g.set("rua", strings.Join(uris, ","))
	return nil
}

// sameMailbox reports whether two URIs are mailto: URIs of the same address.
func sameMailbox(a, b string) bool {
	x, y := mailbox(a), mailbox(b)
	return x != "" && strings.EqualFold(x, y)
}

// mailbox returns the address of a mailto: URI; "" for another URI.
func mailbox(uri string) string {
	record, err := dmarc.ParseRecord("v=DMARC1; p=none; rua=" + uri)
	if err != nil || len(record.RUA) != 1 || record.RUA[0].Address == "" {
		return ""
	}
	u := record.RUA[0]
	return u.Address[:strings.LastIndexByte(u.Address, '@')+1] + u.Host.String()
}

// recordChanges is the difference between a record and new tags.
func recordChanges(standing string, tags []recordTag) []TagChange {
	before := splitRecord(standing)
	at := func(list []recordTag, name string) string {
		if i := slices.IndexFunc(list, func(t recordTag) bool { return t.name == name }); i >= 0 {
			return list[i].value
		}
		return ""
	}
	var out []TagChange
	seen := map[string]bool{}
	for _, t := range slices.Concat(tags, before) {
		if seen[t.name] {
			continue
		}
		seen[t.name] = true
		if old, now := at(before, t.name), at(tags, t.name); old != now {
			out = append(out, TagChange{Tag: t.name, Before: old, After: now})
		}
	}
	return out
}

// quoted returns remote text for a sentence, cut.
func quoted(s string) string {
	const most = 60
	if len(s) > most {
		return fmt.Sprintf("%q…", strings.ToValidUTF8(s[:most], ""))
	}
	return fmt.Sprintf("%q", s)
}

// RecordName returns the name of a domain's policy record.
func RecordName(domain dns.Name) (dns.Name, error) { return domain.Child("_dmarc") }

// Package opendmarc makes a policy file of the configuration of an OpenDMARC.
package opendmarc

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"dmarcd/internal/settings"
	"dmarcd/internal/text"
)

// Imported is what the configuration of an OpenDMARC becomes.
type Imported struct {
	Policy []byte   // text of a policy file, which settings.ParsePolicy takes
	Daemon []string // lines for dmarcd.yaml
	Notes  []Note   // what became of each line that was read
}

// Note says what became of one line.
type Note struct {
	At   settings.Place
	Text string
}

func (n Note) String() string { return fmt.Sprintf("%s: %s", n.At, n.Text) }

// Import reads the text of an opendmarc.conf. Hosts gives the name and the
// text of the IgnoreHosts file, whose name as it stands in the configuration it is
// told, "" where it has none. Lists are further lists of hosts, such as the PeerList of
// an OpenDKIM. What has no counterpart is only noted.
func Import(name string, conf []byte, hosts func(named string) (shown string, data []byte, err error), lists ...settings.Text) (*Imported, error) {
	im := &importer{out: &Imported{}}
	keys := im.keys()
	first := map[string]int{}
	n := 0
	for l := range bytes.Lines(conf) {
		n++
		im.at = settings.Place{File: name, Line: n}
		line, _, _ := strings.Cut(strings.TrimPrefix(string(l), "\ufeff"), "#")
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		key, value := line, ""
		if i := strings.IndexAny(line, " \t"); i > 0 {
			key, value = line[:i], strings.TrimSpace(line[i:])
		}
		id := strings.ToLower(key)
		take, known := keys[id]
		switch line, again := first[id]; {
		case !known:
			im.note("%s is no key of OpenDMARC that is known here; not taken", clip(key))
		case again:
			im.note("%s stands on line %d too; this one is not taken", key, line)
		case value == "":
			im.note("%s has no value; not taken", key)
		default:
			first[id] = n
			im.note("%s %s: %s", key, clip(value), take(value))
		}
	}
	im.at = settings.Place{File: name}
	if first["rejectfailures"] == 0 {
		im.note("RejectFailures is not set: %s", keys["rejectfailures"]("no"))
	}
	im.at.Line = first["ignorehosts"]
	im.ignored(hosts)
	for _, l := range lists {
		im.exceptEach(l.Path, l.Data)
	}
	im.out.Policy = im.policy(name)
	im.out.Daemon = im.daemon()
	if _, _, err := settings.ParsePolicy("imported policy", "", im.out.Policy); err != nil {
		return nil, err
	}
	return im.out, nil
}

// importer gathers what the lines of a configuration say.
type importer struct {
	out *Imported
	at  settings.Place

	reject, hold, refuseFrom bool
	rejectText               string
	notify, sealers          []string
	hostsNamed               string
	exceptions               []string

	authServID, listen, level string
	removeIDs                 []string
	login                     string // skip_authenticated, "" for its default
	timeout                   string
	reportEmail               string
	failureReports            bool
}

func (im *importer) note(format string, args ...any) {
	im.out.Notes = append(im.out.Notes, Note{im.at, fmt.Sprintf(format, args...)})
}

// ignored takes the hosts of IgnoreHosts: entries in the configuration itself, or
// those of the file.
func (im *importer) ignored(hosts func(named string) (string, []byte, error)) {
	if words := commaList(im.hostsNamed); len(words) > 0 {
		if _, _, err := settings.ParseList(settings.ListExceptions, "", []byte(words[0])); err == nil {
			for _, w := range words {
				im.except(w)
			}
			im.hostsNamed = ""
		}
	}
	shown, data, err := hosts(im.hostsNamed)
	if err != nil {
		im.note("IgnoreHosts: the file cannot be read: %v; no exceptions are taken from it; name a copy with --ignore-hosts", err)
		return
	}
	im.exceptEach(shown, data)
}

// exceptEach takes the hosts of a list: one a line, or the first column of CSV.
func (im *importer) exceptEach(name string, data []byte) {
	n := 0
	for l := range bytes.Lines(data) {
		n++
		im.at = settings.Place{File: name, Line: n}
		line, _, _ := strings.Cut(strings.TrimPrefix(string(l), "\ufeff"), "#")
		if line = strings.TrimSpace(line); line != "" {
			im.except(line)
		}
	}
}

// except takes one host as an exception if it is an address or a network.
func (im *importer) except(line string) {
	shown := clip(settings.FirstColumn(line))
	if strings.HasPrefix(shown, "!") {
		im.note("%s: not taken: a list here cannot leave a host out; if a wider network is taken, this host is excepted with it", shown)
		return
	}
	entries, _, err := settings.ParseList(settings.ListExceptions, im.at.File, []byte(line))
	var faults settings.Faults
	switch {
	case errors.As(err, &faults):
		im.note("%s: not taken: %s", shown, faults[0].Problem)
	case len(entries) == 0:
		im.note("%s: not taken: the heading of the columns", clip(line))
	case strings.HasSuffix(entries[0], "/0"):
		im.note("%s: not taken: it would except every client; to check nobody's mail, set dmarc.enabled: false", shown)
	default:
		im.exceptions = append(im.exceptions, entries[0])
		im.note("%s: taken: dmarc.exceptions %s", shown, entries[0])
	}
}

// policy is the text of the policy file.
func (im *importer) policy(name string) []byte {
	var b bytes.Buffer
	w := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	w("# Made from %s by \"dmarcd policy import --opendmarc\".", strconv.Quote(name))
	w("# Every key is described in the policy.yaml that dmarcd comes with.")
	if !im.reject && !im.hold {
		w("mode: monitor")
	} else {
		w("mode: enforce")
	}
	w("default:\n  dmarc:\n    enabled: true")
	if len(im.exceptions) > 0 {
		w("    exceptions:")
		for _, e := range im.exceptions {
			w("      - %s", strconv.Quote(e))
		}
	}
	if im.reject || im.hold {
		w("    actions: {quarantine: %s, reject: %s}", choose(im.hold, "quarantine", "bypass"), choose(im.reject, "reject", "bypass"))
	}
	if im.hold && !im.reject && !im.refuseFrom {
		w("    multiple_from: quarantine # OpenDMARC rejected nothing")
	}
	if im.rejectText != "" {
		w("    reject_text: %s", strconv.Quote(im.rejectText))
	}
	if len(im.sealers) > 0 {
		w("    arc: {enabled: true, trusted_sealers: %s}", quotedList(im.sealers))
	}
	if len(im.notify) > 0 {
		w("    notify: %s", quotedList(im.notify))
	}
	if im.hold {
		w("  quarantine: {method: hold}")
	}
	return b.Bytes()
}

// daemon is what belongs in dmarcd.yaml.
func (im *importer) daemon() []string {
	var lines []string
	w := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if im.authServID != "" {
		w("authserv_id: %s", strconv.Quote(im.authServID))
	}
	if ids := im.others(); len(ids) > 0 {
		w("remove_authserv_ids: %s", quotedList(ids))
	}
	if im.listen != "" {
		w("listen: %s", quotedList([]string{im.listen}))
	}
	if im.login != "" {
		w("skip_authenticated: %s", im.login)
	}
	if im.timeout != "" {
		w("resolver: {timeout: %s}", im.timeout)
	}
	if im.level != "" {
		w("log: {level: %s}", im.level)
	}
	if im.reportEmail != "" || im.failureReports {
		w("reports: # say enabled: true when org_name and email are there")
		if im.reportEmail != "" {
			w("  email: %s", strconv.Quote(im.reportEmail))
		}
		w("  failure: {enabled: %t}", im.failureReports)
	}
	return lines
}

// others are the trusted authserv-ids but our own.
func (im *importer) others() []string {
	var out []string
	for _, id := range im.removeIDs {
		if !strings.EqualFold(id, im.authServID) && !isHostname(id) {
			out = append(out, id)
		}
	}
	return out
}

// isHostname reports whether OpenDMARC puts the name of the host for s.
func isHostname(s string) bool { return strings.EqualFold(s, "HOSTNAME") }

func quotedList(words []string) string {
	var out []string
	for _, w := range words {
		out = append(out, strconv.Quote(w))
	}
	return "[" + strings.Join(out, ", ") + "]"
}

func commaList(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' })
}

func choose(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}

// clip cuts a text of the configuration for a note.
func clip(s string) string { return text.Cut(s, 80) }

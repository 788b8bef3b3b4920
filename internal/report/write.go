package report

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strconv"

	"dmarcd/internal/text"
)

// Errors for a report that cannot be written, wrapped with the fault.
var (
	ErrIncomplete = errors.New("report: a required value is missing")
	ErrBadWord    = errors.New("report: not a word of RFC 9990")
	ErrNoRows     = errors.New("report: no rows") // RFC 9990 section 3.1.1.2: at least one record
)

// namespace is the namespace of RFC 9990 section 6.1.
const namespace = "urn:ietf:params:xml:ns:dmarc-2.0"

// Maximum lengths of metadata texts, in octets. RFC 9990 section 3.1.5 wants a short error
// text; callers should cut sensibly, this is the last resort.
const (
	maxContact = 320 // an address of RFC 5321 section 4.5.3.1
	maxError   = 2048
)

// flushAt is how much of a file is buffered before it is written.
const flushAt = 32 << 10

// Writer writes one report row by row, so that the report need not be in memory. It validates
// as it goes: a file closed without an error is valid by the schema of RFC 9990. It is for one
// goroutine.
type Writer struct {
	w    io.Writer
	b    []byte
	rows int64
	err  error
}

// NewWriter begins a report on w. Metadata and policy must be complete: organisation, email,
// report id, period, policy domain and p.
func NewWriter(w io.Writer, m *Metadata, p *Published) (*Writer, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	if err := p.check(); err != nil {
		return nil, err
	}
	out := &Writer{w: w, b: make([]byte, 0, flushAt+4<<10)}
	out.b = append(out.b, `<?xml version="1.0" encoding="UTF-8"?>`+"\n"+`<feedback xmlns="`+namespace+`">`+"\n  <version>1.0</version>\n"...)
	out.metadata(m)
	out.policy(p)
	return out, nil
}

// WriteRow appends one record. An error is final: the file is then useless.
func (w *Writer) WriteRow(r *Row) error {
	if w.err != nil {
		return w.err
	}
	if err := r.check(); err != nil {
		w.err = fmt.Errorf("row %d: %w", w.rows+1, err)
		return w.err
	}
	w.rows++
	w.row(r)
	if len(w.b) >= flushAt {
		w.flush()
	}
	return w.err
}

// Close ends the file; it does not close the io.Writer. A report without rows is ErrNoRows.
func (w *Writer) Close() error {
	if w.err == nil && w.rows == 0 {
		w.err = ErrNoRows
	}
	if w.err != nil {
		return w.err
	}
	w.b = append(w.b, "</feedback>\n"...)
	w.flush()
	return w.err
}

func (w *Writer) flush() {
	_, w.err = w.w.Write(w.b)
	w.b = w.b[:0]
}

// WriteXML writes the whole report as an XML file (RFC 9990 section 3.1). The same report
// gives the same octets. The caller must supply the reason of a row that failed and was not
// treated as published (section 3.1.1.9).
func (r *Report) WriteXML(w io.Writer) error {
	if len(r.Rows) == 0 {
		return ErrNoRows
	}
	out, err := NewWriter(w, &r.Metadata, &r.Policy)
	if err != nil {
		return err
	}
	for i := range r.Rows {
		if err := out.WriteRow(&r.Rows[i]); err != nil {
			return err
		}
	}
	return out.Close()
}

// WriteGzip writes the file of WriteXML compressed (RFC 1952), without a name or time, so that
// the same report gives the same octets.
func (r *Report) WriteGzip(w io.Writer) error {
	z := gzip.NewWriter(w)
	if err := r.WriteXML(z); err != nil {
		return err
	}
	return z.Close()
}

func (m *Metadata) check() error {
	for _, v := range []struct{ name, text string }{{"org_name", m.OrgName}, {"email", m.Email}, {"report_id", m.ReportID}} {
		if text.XML(v.text, maxContact) == "" {
			return fmt.Errorf("%w: %s", ErrIncomplete, v.name)
		}
	}
	if m.Begin.IsZero() || m.End.Before(m.Begin) || m.Begin.Unix() < 0 {
		return fmt.Errorf("%w: date_range", ErrIncomplete)
	}
	return nil
}

func (p *Published) check() error {
	switch {
	case text.XML(p.Domain, maxName) == "":
		return fmt.Errorf("%w: policy domain", ErrIncomplete)
	case p.P == "":
		return fmt.Errorf("%w: p", ErrIncomplete)
	case !isPolicy(p.P), p.SP != "" && !isPolicy(p.SP), p.NP != "" && !isPolicy(p.NP):
		return fmt.Errorf("%w: policy %q, sp %q, np %q", ErrBadWord, p.P, p.SP, p.NP)
	case p.ADKIM != "" && !isAlignmentMode(p.ADKIM), p.ASPF != "" && !isAlignmentMode(p.ASPF):
		return fmt.Errorf("%w: alignment %q, %q", ErrBadWord, p.ADKIM, p.ASPF)
	case p.Discovery != "" && p.Discovery != DiscoveryPSL && p.Discovery != DiscoveryTreeWalk:
		return fmt.Errorf("%w: discovery %q", ErrBadWord, p.Discovery)
	}
	return nil
}

func (r *Row) check() error {
	switch {
	case !r.SourceIP.IsValid():
		return fmt.Errorf("%w: source address", ErrIncomplete)
	case r.Count < 1:
		return fmt.Errorf("%w: count", ErrIncomplete)
	case text.XML(r.HeaderFrom, maxName) == "":
		return fmt.Errorf("%w: header_from", ErrIncomplete)
	case code(dispositionCodes[:], r.Disposition) == 0:
		return fmt.Errorf("%w: disposition %q", ErrBadWord, r.Disposition)
	case code(dmarcResultCodes[:], r.DKIM) == 0, code(dmarcResultCodes[:], r.SPF) == 0:
		return fmt.Errorf("%w: dkim %q, spf %q", ErrBadWord, r.DKIM, r.SPF)
	}
	for i := range r.Reasons {
		if t := r.Reasons[i].Type; !isReason(t) {
			return fmt.Errorf("%w: reason %q", ErrBadWord, t)
		}
	}
	for i := range r.AuthDKIM {
		if v := r.AuthDKIM[i].Result; v == ResultSoftfail || code(resultCodes[:], v) == 0 {
			return fmt.Errorf("%w: DKIM result %q", ErrBadWord, v)
		}
	}
	if s := r.AuthSPF; s != nil && code(resultCodes[:], s.Result) == 0 {
		return fmt.Errorf("%w: SPF result %q", ErrBadWord, s.Result)
	}
	if s := r.AuthSPF; s != nil && s.Scope != "" && s.Scope != ScopeMFrom {
		return fmt.Errorf("%w: SPF scope %q", ErrBadWord, s.Scope)
	}
	return nil
}

func isPolicy(p Policy) bool {
	return p == PolicyNone || p == PolicyQuarantine || p == PolicyReject
}

func isAlignmentMode(a AlignmentMode) bool { return a == ModeRelaxed || a == ModeStrict }

// isReason reports whether t is a type of RFC 9990.
func isReason(t ReasonType) bool {
	switch t {
	case ReasonLocalPolicy, ReasonMailingList, ReasonOther, ReasonPolicyTestMode, ReasonTrustedForwarder:
		return true
	}
	return false
}

func (w *Writer) metadata(m *Metadata) {
	w.raw("  <report_metadata>\n")
	w.element("    ", "org_name", m.OrgName, maxContact)
	w.element("    ", "email", m.Email, maxContact)
	w.optional("    ", "extra_contact_info", m.ExtraContact, maxComment)
	w.element("    ", "report_id", m.ReportID, maxContact)
	w.raw("    <date_range>\n      <begin>")
	w.b = strconv.AppendInt(w.b, m.Begin.Unix(), 10)
	w.raw("</begin>\n      <end>")
	w.b = strconv.AppendInt(w.b, m.End.Unix(), 10)
	w.raw("</end>\n    </date_range>\n")
	w.optional("    ", "error", m.Error, maxError)
	w.optional("    ", "generator", m.Generator, maxName)
	w.raw("  </report_metadata>\n")
}

func (w *Writer) policy(p *Published) {
	w.raw("  <policy_published>\n")
	w.element("    ", "domain", p.Domain, maxName)
	w.optional("    ", "discovery_method", string(p.Discovery), maxName)
	w.element("    ", "p", string(p.P), maxName)
	w.optional("    ", "sp", string(p.SP), maxName)
	w.optional("    ", "np", string(p.NP), maxName)
	w.optional("    ", "fo", p.FO, maxName)
	w.optional("    ", "adkim", string(p.ADKIM), maxName)
	w.optional("    ", "aspf", string(p.ASPF), maxName)
	testing := "n"
	if p.Testing {
		testing = "y"
	}
	w.element("    ", "testing", testing, maxName)
	w.raw("  </policy_published>\n")
}

func (w *Writer) row(r *Row) {
	w.raw("  <record>\n    <row>\n      <source_ip>")
	w.b = r.SourceIP.Unmap().WithZone("").AppendTo(w.b) // RFC 3986 section 3.2.2 has no zones
	w.raw("</source_ip>\n      <count>")
	w.b = strconv.AppendInt(w.b, r.Count, 10)
	w.raw("</count>\n      <policy_evaluated>\n")
	w.element("        ", "disposition", string(r.Disposition), maxName)
	w.element("        ", "dkim", string(r.DKIM), maxName)
	w.element("        ", "spf", string(r.SPF), maxName)
	for i := range r.Reasons[:min(len(r.Reasons), maxReasons)] {
		w.raw("        <reason>\n")
		w.element("          ", "type", string(r.Reasons[i].Type), maxName)
		w.optional("          ", "comment", r.Reasons[i].Comment, maxComment)
		w.raw("        </reason>\n")
	}
	w.raw("      </policy_evaluated>\n    </row>\n    <identifiers>\n")
	w.element("      ", "header_from", r.HeaderFrom, maxName)
	if r.NullSender && text.XML(r.EnvelopeFrom, maxName) == "" {
		w.raw("      <envelope_from/>\n") // RFC 9990 section 3.1.1.10
	}
	w.optional("      ", "envelope_from", r.EnvelopeFrom, maxName)
	w.optional("      ", "envelope_to", r.EnvelopeTo, maxName)
	w.raw("    </identifiers>\n    <auth_results>\n")
	for i := range r.AuthDKIM[:min(len(r.AuthDKIM), MaxDKIM)] {
		w.dkim(&r.AuthDKIM[i])
	}
	if r.AuthSPF != nil {
		w.spf(r.AuthSPF)
	}
	w.raw("    </auth_results>\n  </record>\n")
}

func (w *Writer) dkim(d *DKIMResult) {
	w.raw("      <dkim>\n")
	w.element("        ", "domain", d.Domain, maxName)
	w.element("        ", "selector", d.Selector, maxName)
	w.element("        ", "result", string(d.Result), maxName)
	w.optional("        ", "human_result", d.HumanResult, maxComment)
	w.raw("      </dkim>\n")
}

func (w *Writer) spf(s *SPFResult) {
	w.raw("      <spf>\n")
	w.element("        ", "domain", s.Domain, maxName)
	w.optional("        ", "scope", string(s.Scope), maxName)
	w.element("        ", "result", string(s.Result), maxName)
	w.optional("        ", "human_result", s.HumanResult, maxComment)
	w.raw("      </spf>\n")
}

func (w *Writer) raw(s string) { w.b = append(w.b, s...) }

// optional writes an element unless its value is empty.
func (w *Writer) optional(indent, name, value string, most int) {
	if value = text.XML(value, most); value != "" {
		w.element(indent, name, value, most)
	}
}

func (w *Writer) element(indent, name, value string, most int) {
	b := append(w.b, indent...)
	b = append(b, '<')
	b = append(b, name...)
	b = append(b, '>')
	b = appendEscaped(b, text.XML(value, most))
	b = append(b, '<', '/')
	b = append(b, name...)
	w.b = append(b, '>', '\n')
}

// appendEscaped writes tidy text as character data (XML 1.0 section 2.4).
func appendEscaped(b []byte, s string) []byte {
	last := 0
	for i := 0; i < len(s); i++ {
		var with string
		switch s[i] {
		case '&':
			with = "&amp;"
		case '<':
			with = "&lt;"
		case '>':
			with = "&gt;"
		default:
			continue
		}
		b = append(b, s[last:i]...)
		b = append(b, with...)
		last = i + 1
	}
	return append(b, s[last:]...)
}

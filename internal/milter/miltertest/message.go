package miltertest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"strconv"
)

// Peer is the SMTP client that an MTA reports.
type Peer struct {
	Host   string // "" means "client.example"
	Addr   string // an address, "IPv6:" before it as Sendmail does; "" means 192.0.2.1
	Family byte   // '4', '6', 'L', 'U'; 0: from Addr
	Port   uint16
	Helo   string            // "" means "client.example"
	Macros map[byte][]string // by command: names and values in turn
}

// Message is one mail and its envelope.
type Message struct {
	From     string // with angle brackets
	FromArgs []string
	Rcpts    []string          // with angle brackets
	Macros   map[byte][]string // by command: names and values in turn; before 'R' for each recipient
	Raw      []byte            // header, empty line, body; lines end in CRLF
	Chunk    int               // size of body chunks; 0 means 65535
}

// Answer is a filter's response to one command.
type Answer struct {
	Action byte   // RespContinue and the like
	Code   int    // of RespReplyCode
	Text   string // of RespReplyCode, after the code, with "%%" unescaped to "%"
}

// Accepts reports whether the mail, or the recipient, is taken.
func (a Answer) Accepts() bool { return a.Action == RespAccept || a.Action == RespContinue }

// Mod is one modification, as on the wire.
type Mod struct {
	Op    byte // RespInsertHeader and the like
	Index int
	Name  string // header name, or recipient
	Value string // lines end in LF; of RespQuarantine: the reason
}

// Result is what happened to a message.
type Result struct {
	Answer
	Stage   byte     // the command that was answered: CmdEnd, or the one that ended the message early
	Rcpts   []Answer // one for each recipient sent
	Mods    []Mod
	Skipped bool // the filter wanted no more of the body
}

// Quarantine is the reason for the hold queue; "" for none.
func (r *Result) Quarantine() string {
	for _, m := range r.Mods {
		if m.Op == RespQuarantine {
			return m.Value
		}
	}
	return ""
}

// Greet sends connect and HELO. It returns the first answer that is not "continue".
func (m *MTA) Greet(p Peer) (Answer, error) {
	m.hello = true
	if m.sends(CmdConnect) {
		m.stageMacros(p.Macros, CmdConnect)
		if err := m.putConnect(p); err != nil {
			return Answer{}, err
		}
		if a, err := m.answer(CmdConnect); err != nil || a.Action != RespContinue {
			return a, err
		}
	}
	helo := p.Helo
	if helo == "" {
		helo = "client.example"
	}
	return m.Helo(helo, p.Macros[CmdHelo]...)
}

// Helo sends HELO.
func (m *MTA) Helo(name string, macros ...string) (Answer, error) {
	if !m.sends(CmdHelo) {
		return Answer{Action: RespContinue}, nil
	}
	if len(macros) > 0 {
		m.Macros(CmdHelo, macros...)
	}
	m.PutStrings(CmdHelo, name)
	return m.answer(CmdHelo)
}

func (m *MTA) putConnect(p Peer) error {
	host, addr, family := p.Host, p.Addr, p.Family
	if host == "" {
		host = "client.example"
	}
	if addr == "" && family == 0 {
		addr = "192.0.2.1"
	}
	if family == 0 {
		family = '4'
		if ip, err := netip.ParseAddr(addr); err != nil || ip.Is6() {
			family = '6'
		}
	}
	switch family {
	case 'U':
		m.Put(CmdConnect, Str(host), []byte{family})
	default:
		port := binary.BigEndian.AppendUint16(nil, p.Port)
		m.Put(CmdConnect, Str(host), []byte{family}, port, Str(addr))
	}
	return nil
}

func (m *MTA) stageMacros(macros map[byte][]string, stage byte) {
	if pairs := macros[stage]; len(pairs) > 0 {
		m.Macros(stage, pairs...)
	}
}

// answer reads the answer to cmd, or takes "continue" where none is sent.
func (m *MTA) answer(cmd byte) (Answer, error) {
	if !m.awaits(cmd) {
		return Answer{Action: RespContinue}, nil
	}
	for {
		op, data, err := m.get()
		if err != nil {
			return Answer{}, fmt.Errorf("miltertest: answer to %q: %w", cmd, err)
		}
		if op == RespProgress {
			continue
		}
		return parseAnswer(cmd, op, data)
	}
}

func parseAnswer(cmd, op byte, data []byte) (Answer, error) {
	a := Answer{Action: op}
	switch op {
	case RespAccept, RespContinue, RespDiscard, RespReject, RespTempFail:
	case RespSkip:
		if cmd != CmdBody {
			return a, fmt.Errorf("miltertest: skip in answer to %q", cmd)
		}
	case RespReplyCode:
		return parseReplyCode(data)
	default:
		return a, fmt.Errorf("miltertest: answer %q to %q", op, cmd)
	}
	if len(data) > 0 {
		return a, fmt.Errorf("miltertest: answer %q carries %q", op, data)
	}
	return a, nil
}

// parseReplyCode checks what Postfix checks and undoes the doubled percent
// signs; a single one is lost, as there.
func parseReplyCode(data []byte) (Answer, error) {
	a := Answer{Action: RespReplyCode}
	text, ok := bytes.CutSuffix(data, []byte{0})
	if !ok || len(text) < 4 || bytes.IndexByte(text, 0) >= 0 {
		return a, fmt.Errorf("miltertest: reply %q", data)
	}
	code, err := strconv.Atoi(string(text[:3]))
	if err != nil || code < 400 || code > 599 || text[3] != ' ' {
		return a, fmt.Errorf("miltertest: reply %q", data)
	}
	a.Code = code
	text = text[4:]
	if len(text) > 0 && text[0] >= '0' && text[0] <= '9' && int(text[0]-'0') != code/100 {
		return a, fmt.Errorf("miltertest: Postfix refuses the reply %q", data)
	}
	var b []byte
	for i := 0; i < len(text); i++ {
		if text[i] == '%' {
			if i++; i == len(text) {
				break
			}
		}
		b = append(b, text[i])
	}
	a.Text = string(b)
	return a, nil
}

// Send runs one message through the filter, after Greet with the zero Peer
// where the test has not greeted. Where every recipient is refused it aborts, as an MTA does.
func (m *MTA) Send(msg *Message) (Result, error) {
	var r Result
	if !m.hello {
		if a, err := m.Greet(Peer{}); err != nil || a.Action != RespContinue {
			return Result{Answer: a, Stage: CmdConnect}, err
		}
	}
	over, err := m.envelope(msg, &r)
	if over || err != nil {
		return r, err
	}
	rest, over, err := m.header(msg, &r)
	if over || err != nil {
		return r, err
	}
	if over, err := m.body(msg, rest, &r); over || err != nil {
		return r, err
	}
	m.stageMacros(msg.Macros, CmdEnd)
	m.Put(CmdEnd)
	return r, m.verdict(&r)
}

// apply takes answer a to stage and reports whether it ends the message.
func (r *Result) apply(stage byte, a Answer) bool {
	r.Stage, r.Answer = stage, a
	return a.Action != RespContinue
}

func (m *MTA) envelope(msg *Message, r *Result) (over bool, err error) {
	if m.sends(CmdMail) {
		m.stageMacros(msg.Macros, CmdMail)
		start := m.begin(CmdMail)
		m.out = append(append(m.out, msg.From...), 0)
		for _, a := range msg.FromArgs {
			m.out = append(append(m.out, a...), 0)
		}
		m.end(start)
		a, err := m.answer(CmdMail)
		if err != nil || r.apply(CmdMail, a) {
			return true, err
		}
	}
	if !m.sends(CmdRcpt) {
		return false, nil
	}
	taken := 0
	for _, to := range msg.Rcpts {
		m.stageMacros(msg.Macros, CmdRcpt)
		m.PutStrings(CmdRcpt, to)
		a, err := m.answer(CmdRcpt)
		if err != nil {
			return true, err
		}
		r.Rcpts = append(r.Rcpts, a)
		switch a.Action {
		case RespContinue:
			taken++
		case RespAccept, RespDiscard:
			r.apply(CmdRcpt, a)
			return true, nil
		default:
			r.apply(CmdRcpt, a)
		}
	}
	if taken == 0 {
		return true, m.Abort()
	}
	if m.sends(CmdData) && m.Version >= 4 {
		m.stageMacros(msg.Macros, CmdData)
		m.Put(CmdData)
		a, err := m.answer(CmdData)
		return err != nil || r.apply(CmdData, a), err
	}
	return false, nil
}

// header sends the fields and returns the text after the empty line.
func (m *MTA) header(msg *Message, r *Result) (rest []byte, over bool, err error) {
	rest = msg.Raw
	m.stageMacros(msg.Macros, CmdHeader)
	for len(rest) > 0 {
		if line, ok := bytes.CutPrefix(rest, []byte("\r\n")); ok {
			rest = line
			break
		}
		var field []byte
		field, rest = cutField(rest)
		if !m.sends(CmdHeader) {
			continue
		}
		m.putField(field)
		if !m.awaits(CmdHeader) {
			continue
		}
		a, err := m.answer(CmdHeader)
		if err != nil || r.apply(CmdHeader, a) {
			return nil, true, err
		}
	}
	if !m.sends(CmdEOH) {
		return rest, false, nil
	}
	m.stageMacros(msg.Macros, CmdEOH)
	m.Put(CmdEOH)
	a, err := m.answer(CmdEOH)
	return rest, err != nil || r.apply(CmdEOH, a), err
}

// cutField splits the first field, with its folds and last CRLF, from b.
func cutField(b []byte) (field, rest []byte) {
	for i := 0; i < len(b); {
		n := bytes.IndexByte(b[i:], '\n')
		if n < 0 {
			return b, nil
		}
		i += n + 1
		if i == len(b) || b[i] != ' ' && b[i] != '\t' {
			return b[:i], b[i:]
		}
	}
	return b, nil
}

// putField sends a field as MTAs do: folds as a bare LF, and without leading
// blanks where the filter has not asked for them.
func (m *MTA) putField(field []byte) {
	name, value, _ := bytes.Cut(bytes.TrimRight(field, "\r\n"), []byte(":"))
	if m.Steps&LeadSpace == 0 {
		value = bytes.TrimLeft(value, " \t")
	}
	start := m.begin(CmdHeader)
	m.out = append(append(m.out, bytes.TrimRight(name, " \t")...), 0)
	for len(value) > 0 {
		line, rest, folded := bytes.Cut(value, []byte("\r\n"))
		m.out = append(m.out, line...)
		if folded {
			m.out = append(m.out, '\n')
		}
		value = rest
	}
	m.out = append(m.out, 0)
	m.end(start)
}

func (m *MTA) body(msg *Message, body []byte, r *Result) (over bool, err error) {
	if !m.sends(CmdBody) {
		return false, nil
	}
	size := msg.Chunk
	if size <= 0 || size > maxPacket {
		size = maxPacket
	}
	for len(body) > 0 {
		n := min(size, len(body))
		m.stageMacros(msg.Macros, CmdBody)
		m.Put(CmdBody, body[:n])
		body = body[n:]
		a, err := m.answer(CmdBody)
		if err != nil {
			return true, err
		}
		if a.Action == RespSkip {
			r.Skipped = true
			return false, nil
		}
		if r.apply(CmdBody, a) {
			return true, nil
		}
	}
	return false, nil
}

// verdict reads modifications up to the verdict.
func (m *MTA) verdict(r *Result) error {
	for {
		op, data, err := m.get()
		if err != nil {
			return fmt.Errorf("miltertest: answer to end of message: %w", err)
		}
		switch op {
		case RespProgress:
		case RespAddHeader, RespInsertHeader, RespChangeHeader, RespAddRcpt, RespDeleteRcpt, RespQuarantine:
			mod, err := m.parseMod(op, data)
			if err != nil {
				return err
			}
			r.Mods = append(r.Mods, mod)
		default:
			a, err := parseAnswer(CmdEnd, op, data)
			r.apply(CmdEnd, a)
			return err
		}
	}
}

// modActions maps a modification to the action that must have been agreed.
var modActions = map[byte]uint32{
	RespAddHeader:    ActAddHeaders,
	RespInsertHeader: ActAddHeaders,
	RespChangeHeader: ActChangeHeaders,
	RespAddRcpt:      ActAddRcpt,
	RespDeleteRcpt:   ActDeleteRcpt,
	RespQuarantine:   ActQuarantine,
}

func (m *MTA) parseMod(op byte, data []byte) (Mod, error) {
	mod := Mod{Op: op}
	if m.Actions&modActions[op] == 0 {
		return mod, fmt.Errorf("miltertest: %q was not agreed on", op)
	}
	bad := fmt.Errorf("miltertest: modification %q of %q", op, data)
	if op == RespInsertHeader || op == RespChangeHeader {
		if len(data) < 4 {
			return mod, bad
		}
		mod.Index = int(binary.BigEndian.Uint32(data))
		data = data[4:]
	}
	strs := bytes.Split(data, []byte{0})
	want := 2 // one string, and nothing after its NUL
	if op == RespAddHeader || op == RespInsertHeader || op == RespChangeHeader {
		want = 3
	}
	if len(strs) != want || len(strs[want-1]) != 0 || bytes.IndexByte(data, '\r') >= 0 {
		return mod, bad
	}
	switch {
	case want == 3:
		mod.Name, mod.Value = string(strs[0]), string(strs[1])
	case op == RespQuarantine:
		mod.Value = string(strs[0])
	default:
		mod.Name = string(strs[0])
	}
	return mod, nil
}

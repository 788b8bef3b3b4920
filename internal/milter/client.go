package milter

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	gomilter "github.com/emersion/go-milter"
)

// Submission is one mail to pass through a milter as if an MTA had received it.
type Submission struct {
	Client  netip.Addr        // the zero Addr means a local client
	Host    string            // the client's name as the MTA would have it
	Helo    string            // "" sends none
	From    string            // with angle brackets
	Rcpts   []string          // with angle brackets
	Macros  map[string]string // names without braces; sent at every stage
	Message io.Reader         // header and body; lines end in CRLF
}

// Answer is the milter's response.
type Answer struct {
	Response
	Rcpts []Reply // one for each recipient; the zero Reply for an accepted one
}

// packetTimeout is how long a client waits for one packet when its context has no
// deadline: longer than a milter may take for a message.
const packetTimeout = 30 * time.Second

// offered is what a client allows a milter: all that dmarcd wants except skipping the
// rest of a body, a reply which the library cannot parse.
const offered = gomilter.OptNoConnReply | gomilter.OptNoHeloReply | gomilter.OptNoMailReply |
	gomilter.OptNoRcptReply | gomilter.OptNoHeaderReply | gomilter.OptNoEOHReply |
	gomilter.OptNoBodyReply | gomilter.OptNoUnknown | gomilter.OptNoData | gomilter.OptHeaderLeadingSpace

// Submit sends one mail through the milter at a and returns its answer. An
// error means that there was none.
func Submit(ctx context.Context, a Address, s Submission) (Answer, error) {
	nc, err := a.Dial(ctx)
	if err != nil {
		return Answer{}, err
	}
	defer nc.Close()
	defer context.AfterFunc(ctx, func() { nc.Close() })()
	ans, err := submit(nc, s)
	if err == nil {
		return ans, nil
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return Answer{}, fmt.Errorf("milter: %s: %w", a, err)
}

// dialed is a connection that is there already.
type dialed struct{ net.Conn }

func (d dialed) Dial(string, string) (net.Conn, error) { return d.Conn, nil }

func submit(nc net.Conn, s Submission) (Answer, error) {
	client := gomilter.NewClientWithOptions("", "", gomilter.ClientOptions{
		Dialer:       dialed{nc},
		ReadTimeout:  packetTimeout,
		WriteTimeout: packetTimeout,
		ActionMask: gomilter.OptAddHeader | gomilter.OptAddRcpt | gomilter.OptRemoveRcpt |
			gomilter.OptChangeHeader | gomilter.OptQuarantine,
		ProtocolMask: offered,
	})
	session, err := client.Session()
	if err != nil {
		return Answer{}, err
	}
	c := &submitter{session: session, s: s, in: bufio.NewReader(s.Message)}
	// Each step reads the answers up to the final one.
	for _, step := range []func() error{c.connect, c.envelope, c.header, c.body} {
		if err := step(); err != nil {
			return Answer{}, err
		}
		if c.over {
			break
		}
	}
	// The answer is complete, even if closing fails.
	_ = session.Close()
	return c.answer, nil
}

// submitter is one Submission under way.
type submitter struct {
	session *gomilter.ClientSession
	s       Submission
	in      *bufio.Reader
	answer  Answer
	over    bool
}

// take notes an action and whether it ends the matter.
func (c *submitter) take(a *gomilter.Action, err error) error {
	if err != nil {
		return err
	}
	switch a.Code {
	case gomilter.ActContinue:
		return nil
	case gomilter.ActDiscard:
		c.answer.Discard = true
	default:
		c.answer.Reply = replyOf(a)
	}
	c.over = true
	return nil
}

// replyOf is the refusal in a; zero for none.
func replyOf(a *gomilter.Action) Reply {
	switch a.Code {
	case gomilter.ActReject:
		return Reply{Code: 550, Enhanced: "5.7.1", Text: "Command rejected"}
	case gomilter.ActTempFail:
		return Reply{Code: 451, Enhanced: "4.7.1", Text: "Try again later"}
	case gomilter.ActReplyCode:
		r := Reply{Code: a.SMTPCode, Text: strings.ReplaceAll(a.SMTPText, "%%", "%")}
		if code, text, ok := strings.Cut(r.Text, " "); ok && wellFormed(code) {
			r.Enhanced, r.Text = code, text
		}
		return r
	}
	return Reply{}
}

func (c *submitter) macros(stage gomilter.Code) error {
	var kv []string
	for _, name := range slices.Sorted(maps.Keys(c.s.Macros)) {
		value := c.s.Macros[name]
		if len(name) > 1 {
			name = "{" + name + "}"
		}
		kv = append(kv, name, value)
	}
	if len(kv) == 0 {
		return nil
	}
	return c.session.Macros(stage, kv...)
}

func (c *submitter) connect() error {
	if err := c.macros(gomilter.CodeConn); err != nil {
		return err
	}
	family, addr := gomilter.FamilyInet, c.s.Client.String()
	switch {
	case !c.s.Client.IsValid():
		family, addr = gomilter.FamilyUnknown, ""
	case c.s.Client.Is6():
		family = gomilter.FamilyInet6
	}
	err := c.take(c.session.Conn(c.s.Host, family, 0, addr))
	if err != nil || c.over || c.s.Helo == "" {
		return err
	}
	return c.take(c.session.Helo(c.s.Helo))
}

func (c *submitter) envelope() error {
	if err := c.macros(gomilter.CodeMail); err != nil {
		return err
	}
	if err := c.take(c.session.Mail(inBrackets(c.s.From), nil)); err != nil || c.over {
		return err
	}
	refused := 0
	for _, to := range c.s.Rcpts {
		if err := c.macros(gomilter.CodeRcpt); err != nil {
			return err
		}
		a, err := c.session.Rcpt(inBrackets(to), nil)
		if err != nil {
			return err
		}
		r := replyOf(a)
		c.answer.Rcpts = append(c.answer.Rcpts, r)
		switch {
		case !r.IsZero():
			refused++
		case a.Code != gomilter.ActContinue:
			return c.take(a, nil)
		}
	}
	if refused > 0 && refused == len(c.s.Rcpts) {
		c.over, c.answer.Reply = true, c.answer.Rcpts[refused-1]
	}
	return nil
}

// inBrackets is the text between the angle brackets, which the library adds.
func inBrackets(path string) string {
	return strings.TrimSuffix(strings.TrimPrefix(path, "<"), ">")
}

// header sends each field as an MTA does, its folds as a bare LF.
func (c *submitter) header() error {
	for {
		field, err := nextField(c.in)
		if err != nil {
			return err
		}
		if field == "" {
			return c.take(c.session.HeaderEnd())
		}
		if err := c.field(field); err != nil || c.over {
			return err
		}
	}
}

// nextField reads a field with its folds; "" at the end of the header.
func nextField(in *bufio.Reader) (string, error) {
	var field strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		if line == "\r\n" {
			return "", nil
		}
		field.WriteString(line)
		next, _ := in.Peek(1)
		if len(next) == 0 || next[0] != ' ' && next[0] != '\t' {
			return field.String(), nil
		}
	}
}

func (c *submitter) field(f string) error {
	name, value, ok := strings.Cut(strings.TrimRight(f, "\r\n"), ":")
	if !ok || !validName(strings.TrimRight(name, " \t")) {
		return fmt.Errorf("the message has no header field in %.64q", f)
	}
	if !c.session.ProtocolOption(gomilter.OptHeaderLeadingSpace) {
		value = strings.TrimLeft(value, " \t")
	}
	return c.take(c.session.HeaderField(strings.TrimRight(name, " \t"), strings.ReplaceAll(value, "\r\n", "\n")))
}

func (c *submitter) body() error {
	if err := c.macros(gomilter.CodeEOB); err != nil {
		return err
	}
	mods, a, err := c.session.BodyReadFrom(c.in)
	if err := c.take(a, err); err != nil {
		return err
	}
	for _, m := range mods {
		if m.Code == gomilter.ActQuarantine {
			c.answer.Quarantine = m.Reason
			continue
		}
		e, err := editOf(m)
		if err != nil {
			return err
		}
		c.answer.Edits = append(c.answer.Edits, e)
	}
	return nil
}

func editOf(m gomilter.ModifyAction) (Edit, error) {
	e := Edit{Name: m.HeaderName, Index: int(m.HeaderIndex), Value: strings.ReplaceAll(m.HeaderValue, "\n", "\r\n")}
	switch m.Code {
	case gomilter.ActAddHeader:
		e.Kind = AddHeader
	case gomilter.ActInsertHeader:
		e.Kind = InsertHeader
	case gomilter.ActChangeHeader:
		e.Kind = ChangeHeader
		if e.Value == "" {
			e.Kind = DeleteHeader
		}
	case gomilter.ActAddRcpt:
		e = Edit{Kind: AddRcpt, Name: m.Rcpt}
	case gomilter.ActDelRcpt:
		e = Edit{Kind: DeleteRcpt, Name: m.Rcpt}
	default:
		return Edit{}, fmt.Errorf("the milter asks for %q, which is not known", byte(m.Code))
	}
	return e, nil
}

package milter

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// stage is how far the MTA has got. Each stage includes those before.
type stage int

const (
	stageNew   stage = iota
	stageReady       // negotiated
	stageConnected
	stageMail // from here on a message is under way
	stageHeader
	stageBody
)

// transaction is the state of one conversation.
type transaction struct {
	terms  terms
	stage  stage
	macros macros
	done   bool // the Session wants no more of the body
	// The Session failed: it gets no more of this message, which is answered by
	// Config.Trouble. If connect or HELO failed, failedAt is kept beyond the message,
	// until that command is repeated.
	failed   bool
	failedAt command
	mark     int // length of out before the command under way
}

func (c *conn) underWay() bool { return c.stage >= stageMail }

// step carries out one command. A panic of the Session's costs one message.
func (c *conn) step(cmd command, data []byte) (err error) {
	c.mark = len(c.out)
	defer func() {
		if v := recover(); v != nil {
			err = c.rescue(cmd, v)
		}
	}()
	if err := c.carryOut(cmd, data); err != nil {
		c.out = c.out[:min(c.mark, len(c.out))]
		return err
	}
	return nil
}

// carryOut is step without the net.
func (c *conn) carryOut(cmd command, data []byte) error {
	switch cmd {
	case cmdHeader:
		return c.header(data)
	case cmdMacro:
		return c.macros.set(data)
	case cmdBody:
		return c.body(data)
	case cmdRcpt:
		return c.rcpt(data)
	case cmdEOH:
		return c.endOfHeader()
	case cmdMail:
		return c.mail(data)
	case cmdEnd:
		return c.endOfMessage(data)
	case cmdAbort:
		c.abort()
		c.macros.endTransaction()
		return nil
	case cmdConnect:
		return c.connect(data)
	case cmdHelo:
		return c.helo(data)
	case cmdNegotiate:
		return c.negotiate(data)
	case cmdData, cmdUnknown:
		return c.proceed(cmd, stageReady, stageBody)
	case cmdQuitNC:
		c.abort()
		c.macros = macros{}
		c.stage = min(c.stage, stageReady)
		return nil
	case cmdQuit:
		return errQuit
	}
	return protocolError("command %q", byte(cmd))
}

// proceed checks that cmd is in order and replies "continue" where an answer is due.
func (c *conn) proceed(cmd command, from, to stage) error {
	if c.stage < from || c.stage > to {
		return protocolError("command %q at stage %d", byte(cmd), c.stage)
	}
	if !c.terms.silent(cmd) {
		c.out = appendByteReply(c.out, respContinue)
	}
	return nil
}

func (c *conn) negotiate(data []byte) error {
	if c.underWay() {
		return protocolError("negotiation within a message")
	}
	terms, err := agree(data, c.srv.rcptReplies())
	if err != nil {
		return err
	}
	c.terms = terms
	c.stage = stageReady
	if terms.steps&leadSpace == 0 && c.srv.poorMTA.CompareAndSwap(false, true) {
		c.log().Warn("the MTA does not keep leading space of header fields; " +
			"DKIM signatures with simple header canonicalization may fail")
	}
	if c.session == nil {
		c.session = c.srv.cfg.NewSession(c.ctx)
	}
	c.out = appendTerms(c.out, terms)
	return nil
}

func (c *conn) connect(data []byte) error {
	if err := c.proceed(cmdConnect, stageReady, stageBody); err != nil {
		return err
	}
	host, addr, err := parseConnect(data)
	if err != nil {
		return err
	}
	c.abort()
	m := &c.macros
	if !addr.IsValid() {
		addr, _ = parseAddr(m.clientAddr)
	}
	c.stage = stageConnected
	c.failedAt = 0
	c.session.Connect(Connect{
		Host: host, Addr: addr, Daemon: m.daemon, MTA: m.mta, MTAVersion: m.version,
		RcptReplies: !c.terms.silent(cmdRcpt),
	})
	return nil
}

func (c *conn) helo(data []byte) error {
	if err := c.proceed(cmdHelo, stageConnected, stageBody); err != nil {
		return err
	}
	name, err := onlyString(cmdHelo, data)
	if err != nil {
		return err
	}
	c.abort() // RFC 5321 section 4.1.4: a new EHLO ends the transaction
	if c.failedAt == cmdHelo {
		c.failedAt = 0
	}
	if c.failedAt == 0 {
		c.session.Helo(name)
	}
	return nil
}

func (c *conn) mail(data []byte) error {
	if err := c.proceed(cmdMail, stageConnected, stageBody); err != nil {
		return err
	}
	from, err := path(cmdMail, data)
	if err != nil {
		return err
	}
	c.abort()
	c.stage, c.done = stageMail, false
	c.begins()
	if c.failed = c.failedAt != 0; c.failed {
		return nil
	}
	c.session.Mail(Mail{From: from, AuthUser: c.macros.auth, QueueID: c.macros.queueID, Test: c.macros.test != ""})
	return nil
}

func (c *conn) rcpt(data []byte) error {
	if c.stage != stageMail {
		return protocolError("recipient at stage %d", c.stage)
	}
	to, err := path(cmdRcpt, data)
	if err != nil {
		return err
	}
	mailer, addr := c.macros.mailer, c.macros.rcptAddr
	c.macros.mailer, c.macros.rcptAddr = "", ""
	var r Reply
	if !c.failed {
		r = c.session.Rcpt(Rcpt{To: to, Mailer: mailer, Addr: addr})
	}
	switch {
	case c.terms.silent(cmdRcpt):
	case r.valid():
		c.out = appendReply(c.out, r)
	default:
		if !r.IsZero() {
			c.log().Error("a recipient was refused without a valid code; it is taken", "code", r.Code)
		}
		c.out = appendByteReply(c.out, respContinue)
	}
	return nil
}

func (c *conn) header(data []byte) error {
	if err := c.proceed(cmdHeader, stageMail, stageHeader); err != nil {
		return err
	}
	name, value, err := parseHeader(data)
	if err != nil {
		return err
	}
	c.stage = stageHeader
	if !c.failed {
		c.session.Header(c.names.get(name), c.asReceived(value))
	}
	return nil
}

// asReceived returns a header value the form that it had in the message.
func (c *conn) asReceived(v []byte) []byte {
	lead := c.terms.steps&leadSpace == 0
	if !lead && !hasBreak(v) {
		return v
	}
	c.value = c.value[:0]
	if lead {
		c.value = append(c.value, ' ')
	}
	c.value = appendValue(c.value, v)
	return c.value
}

func (c *conn) endOfHeader() error {
	if err := c.proceed(cmdEOH, stageMail, stageHeader); err != nil {
		return err
	}
	c.stage = stageBody
	if !c.failed {
		c.session.EndOfHeader()
	}
	return nil
}

func (c *conn) body(data []byte) error {
	if c.stage != stageBody {
		return protocolError("body at stage %d", c.stage)
	}
	if !c.failed && !c.done {
		c.done = !c.session.Body(data)
	}
	c.answerBody()
	return nil
}

func (c *conn) answerBody() {
	switch {
	case c.terms.silent(cmdBody):
	case (c.done || c.failed) && c.terms.steps&canSkip != 0:
		c.out = appendByteReply(c.out, respSkip)
	default:
		c.out = appendByteReply(c.out, respContinue)
	}
}

// endOfMessage answers the message. Old MTAs may send a last piece of the body along.
func (c *conn) endOfMessage(data []byte) error {
	if c.stage != stageBody {
		return protocolError("end of message at stage %d", c.stage)
	}
	if len(data) > 0 && !c.failed && !c.done {
		c.done = !c.session.Body(data)
	}
	if c.failed {
		return c.answerTrouble()
	}
	o := c.session.EndOfMessage(c.ctx, c.macros.queueID)
	if c.isForced() {
		return c.answerTrouble()
	}
	if !o.Reply.IsZero() && !o.Reply.valid() {
		c.log().Error("a message was refused without a valid code; on_trouble answers it", "code", o.Reply.Code)
		return c.answerTrouble()
	}
	out, err := c.terms.appendResponse(c.out, o)
	if err != nil {
		c.log().Error("an answer cannot be sent; on_trouble answers the message", "error", err)
		return c.answerTrouble()
	}
	c.out = out
	return c.endTransaction()
}

// answerTrouble answers a message that could not be worked on to its end. It
// is never refused for good.
func (c *conn) answerTrouble() error {
	c.srv.stats.troubles.Add(1)
	if r := c.srv.trouble(); r.valid() && r.Code < 500 {
		c.out = appendReply(c.out, r)
	} else {
		c.out = appendByteReply(c.out, respAccept)
	}
	return c.endTransaction()
}

// endTransaction runs after the answer, which it sends at once.
func (c *conn) endTransaction() error {
	c.srv.stats.messages.Add(1)
	c.stage, c.failed = stageConnected, false
	c.macros.endTransaction()
	c.answered()
	return c.flush()
}

// abort ends a transaction under way without an answer.
func (c *conn) abort() {
	if !c.underWay() {
		return
	}
	failed := c.failed
	c.stage, c.failed = stageConnected, false
	if !failed {
		c.guard(c.session.Abort)
	}
}

// rescue takes the place of what a panic of the Session's left undone.
func (c *conn) rescue(cmd command, v any) error {
	c.srv.stats.panics.Add(1)
	c.log().Error("a fault of dmarcd was caught while it judged a message", "command", string(rune(cmd)), "panic", fmt.Sprintf("%.500v", v), "stack", string(debug.Stack()))
	if c.session == nil {
		return errors.New("milter: no session")
	}
	c.out = c.out[:c.mark]
	if c.underWay() {
		c.failed = true
		c.guard(c.session.Abort)
	}
	switch cmd {
	case cmdConnect, cmdHelo:
		// Connect outranks HELO: a HELO that works does not bring back the
		// facts of the connection.
		if c.failedAt != cmdConnect {
			c.failedAt = cmd
		}
	case cmdEnd:
		return c.answerTrouble()
	case cmdBody:
		c.answerBody()
		return nil
	}
	if cmd.answered() && !c.terms.silent(cmd) {
		c.out = appendByteReply(c.out, respContinue)
	}
	return nil
}

// guard calls f, and logs and ignores its panic.
func (c *conn) guard(f func()) {
	defer func() {
		if v := recover(); v != nil {
			c.srv.stats.panics.Add(1)
			c.log().Error("a fault of dmarcd was caught at the end of a message", "panic", fmt.Sprintf("%.500v", v), "stack", string(debug.Stack()))
		}
	}()
	f()
}

// endSession tells the Session that no more calls follow.
func (c *conn) endSession() {
	if c.session == nil {
		return
	}
	if c.underWay() && !c.failed {
		c.guard(c.session.Abort)
	}
	c.guard(c.session.Close)
}

//go:build e2e

package e2e

import (
	"bufio"
	"fmt"
	"net"
	"net/textproto"
	"strings"
	"testing"
	"time"
)

const replyLimit = 90 * time.Second // above every milter time-out of both MTAs

// client is an SMTP client that says what it is told, to the octet.
type client struct {
	t    *testing.T
	conn net.Conn
	r    *textproto.Reader
}

// reply is an answer of the server, its lines joined by newlines.
type reply struct {
	code int
	text string
}

// dial connects to an MTA from an address of ours and says EHLO.
func dial(t *testing.T, server, from, helo string) *client {
	t.Helper()
	d := net.Dialer{Timeout: replyLimit, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	conn, err := d.Dial("tcp", server)
	if err != nil {
		t.Fatalf("connecting to %s from %s: %v", server, from, err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &client{t: t, conn: conn, r: textproto.NewReader(bufio.NewReader(conn))}
	c.must(c.read(), 220)
	c.ehlo(helo)
	return c
}

func (c *client) ehlo(helo string) { c.t.Helper(); c.must(c.cmd("EHLO %s", helo), 250) }

func (c *client) read() reply {
	c.t.Helper()
	_ = c.conn.SetDeadline(time.Now().Add(replyLimit))
	code, text, err := c.r.ReadResponse(0)
	if err != nil {
		if _, isReply := err.(*textproto.Error); !isReply {
			c.t.Fatalf("reading a reply: %v", err)
		}
	}
	return reply{code: code, text: text}
}

func (c *client) write(octets string) {
	c.t.Helper()
	_ = c.conn.SetDeadline(time.Now().Add(replyLimit))
	if _, err := c.conn.Write([]byte(octets)); err != nil {
		c.t.Fatalf("sending: %v", err)
	}
}

func (c *client) cmd(format string, args ...any) reply {
	c.t.Helper()
	c.write(fmt.Sprintf(format, args...) + "\r\n")
	return c.read()
}

func (c *client) must(r reply, code int) reply {
	c.t.Helper()
	if r.code != code {
		c.t.Fatalf("the MTA said %d %s; want %d", r.code, r.text, code)
	}
	return r
}

// begin says MAIL, RCPT and DATA.
func (c *client) begin(from string, rcpts ...string) {
	c.t.Helper()
	c.must(c.cmd("MAIL FROM:<%s>", from), 250)
	for _, rcpt := range rcpts {
		c.must(c.cmd("RCPT TO:<%s>", rcpt), 250)
	}
	c.must(c.cmd("DATA"), 354)
}

// data sends a message, with dots doubled but otherwise as it is, and gives the
// answer to its end.
func (c *client) data(text string) reply {
	c.t.Helper()
	text = strings.ReplaceAll(text, "\n.", "\n..")
	if strings.HasPrefix(text, ".") {
		text = "." + text
	}
	c.write(text + ".\r\n")
	return c.read()
}

// send sends one message in one transaction.
func (c *client) send(from, text string, rcpts ...string) reply {
	c.t.Helper()
	c.begin(from, rcpts...)
	return c.data(text)
}

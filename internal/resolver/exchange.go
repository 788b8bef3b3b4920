package resolver

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"syscall"
	"time"

	mdns "github.com/miekg/dns"
)

// Outcomes of one query on the wire, for metrics.
const (
	outcomeOK        = "ok"
	outcomeNXDomain  = "nxdomain"
	outcomeNoData    = "nodata"
	outcomeServFail  = "servfail"
	outcomeRefused   = "refused"
	outcomeRcode     = "rcode"       // any other error code of the server
	outcomeTruncated = "truncated"   // retried over TCP
	outcomeBogus     = "bogus"       // only unusable answers
	outcomeTimeout   = "timeout"     // no answer
	outcomeNetwork   = "unreachable" // the network or our own system failed
	outcomeEnded     = "canceled"    // no caller waits any more
)

// Outcomes lists the values that Config.Observe may receive.
func Outcomes() []string {
	return []string{outcomeOK, outcomeNXDomain, outcomeNoData, outcomeServFail, outcomeRefused, outcomeRcode,
		outcomeTruncated, outcomeBogus, outcomeTimeout, outcomeNetwork, outcomeEnded}
}

// attempt is one query to one server with one transport.
type attempt struct {
	server *server
	tcp    bool
	edns   bool
}

// exchange sends the query once and parses its answer. Its only error is a *failure.
func (c *Client) exchange(ctx context.Context, q *query, at attempt) (*interpretation, *failure) {
	start := time.Now()
	a, err := c.transmit(ctx, q, at, start.Add(c.timeout))
	var f *interpretation
	if err == nil {
		f, err = a.conclude(q)
	}
	fail := asFailure(ctx, err)
	outcome := ""
	if fail == nil {
		outcome = f.outcome
	} else {
		outcome = fail.outcome
		fail = fail.from(at)
		fail.ours = outcome == outcomeEnded || outcome == outcomeTimeout && time.Since(start) < c.timeout || isShortage(err)
	}
	switch outcome {
	case outcomeTimeout, outcomeNetwork:
		at.server.missing(c.now())
	case outcomeEnded:
	default:
		at.server.answered()
	}
	c.observe(mdns.TypeToString[q.qtype], outcome, time.Since(start))
	return f, fail
}

// conclude turns error codes into failures, anything else into an interpretation.
func (a *answer) conclude(q *query) (*interpretation, error) {
	if a.rcode == mdns.RcodeSuccess || a.rcode == mdns.RcodeNameError {
		return a.interpret(q)
	}
	word := mdns.RcodeToString[a.rcode]
	if word == "" {
		word = fmt.Sprintf("RCODE %d", a.rcode)
	}
	if a.explained {
		why := mdns.ExtendedErrorCodeToString[a.extended]
		word = fmt.Sprintf("%s (extended error %d %s)", word, a.extended, why)
	}
	switch a.rcode {
	case mdns.RcodeServerFailure:
		return nil, failuref(outcomeServFail, "%s", word)
	case mdns.RcodeRefused:
		return nil, failuref(outcomeRefused, "%s", word)
	case mdns.RcodeFormatError, mdns.RcodeNotImplemented, mdns.RcodeBadVers:
		return nil, &failure{outcome: outcomeRcode, detail: word, dropEDNS: true}
	}
	return nil, failuref(outcomeRcode, "%s", word)
}

// asFailure returns the failure for an error; nil for nil.
func asFailure(ctx context.Context, err error) *failure {
	var f *failure
	switch {
	case err == nil:
		return nil
	case errors.As(err, &f):
		return f
	case errors.Is(err, errCut):
		return &failure{outcome: outcomeTruncated, detail: err.Error(), useTCP: true}
	case errors.Is(err, errMalformed), errors.Is(err, errForeign):
		return &failure{outcome: outcomeBogus, detail: err.Error(), useTCP: true}
	case errors.Is(ctx.Err(), context.Canceled):
		return failuref(outcomeEnded, "%v", context.Cause(ctx))
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		return failuref(outcomeTimeout, "time-out")
	default:
		return failuref(outcomeNetwork, "%v", err)
	}
}

// isShortage reports whether our own system had no socket for the query.
func isShortage(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ENOBUFS)
}

// transmit sends the query and waits for its answer until the deadline or the end of ctx.
func (c *Client) transmit(ctx context.Context, q *query, at attempt, deadline time.Time) (*answer, error) {
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	id := uint16(rand.Uint32()) // from the runtime's ChaCha8, which is unpredictable
	if at.tcp {
		return overTCP(ctx, q, at, id, deadline)
	}
	conn, err := at.server.socket()
	if err != nil {
		return nil, err
	}
	if err := conn.SetDeadline(deadline); err != nil {
		_ = conn.Close()
		return nil, err
	}
	unwatch := watch(ctx, conn)
	a, err := overUDP(conn, q, at, id)
	if unwatch() && (err == nil || errors.Is(err, errCut)) {
		at.server.release(conn)
	} else {
		_ = conn.Close() // a late answer may still arrive on it
	}
	return a, err
}

// watch interrupts all waits on conn when ctx is cancelled. The returned function stops
// watching and reports whether conn is still untouched.
func watch(ctx context.Context, conn net.Conn) (unwatch func() bool) {
	return context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
}

// overUDP ignores packets that do not belong to the query: an attacker's guess must not
// replace the answer or end the wait for it (RFC 5452 section 9.1).
func overUDP(conn net.Conn, q *query, at attempt, id uint16) (*answer, error) {
	if _, err := conn.Write(q.packet(id, at.edns)); err != nil {
		return nil, err
	}
	buf := make([]byte, udpSize)
	for range maxIgnored {
		n, err := conn.Read(buf)
		if err != nil {
			return nil, err
		}
		a, err := read(buf[:n], id, q)
		if !errors.Is(err, errForeign) {
			return a, err
		}
	}
	return nil, errForeign
}

// overTCP queries with the framing of RFC 1035 section 4.2.2, on its own connection.
func overTCP(ctx context.Context, q *query, at attempt, id uint16, deadline time.Time) (*answer, error) {
	d := net.Dialer{Deadline: deadline}
	conn, err := d.DialContext(ctx, "tcp", at.server.addr.String())
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(deadline); err != nil {
		return nil, err
	}
	defer watch(ctx, conn)()
	packet := q.packet(id, at.edns)
	framed := append(binary.BigEndian.AppendUint16(nil, uint16(len(packet))), packet...)
	if _, err := conn.Write(framed); err != nil {
		return nil, err
	}
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, err
	}
	msg := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, msg); err != nil {
		return nil, err
	}
	return read(msg, id, q)
}

package milter_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/textproto"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	gomilter "github.com/emersion/go-milter"

	"dmarcd/internal/milter"
	"dmarcd/internal/milter/miltertest"
)

// serverEnv makes the test binary a milter that does nothing, so that its CPU
// time is measured apart from the MTA's.
const serverEnv = "MILTER_BENCH_SERVER"

func TestMain(m *testing.M) {
	if kind := os.Getenv(serverEnv); kind != "" {
		if err := benchServer(kind); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if names := os.Getenv(systemdEnv); names != "" {
		systemdChild(names)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// benchServer serves on a free port, which it prints. For each line that
// comes in it prints the CPU time so far in µs, the allocations, and the bytes allocated.
func benchServer(kind string) error {
	ln, err := milter.Listen(milter.Address{Network: "tcp4", Addr: "127.0.0.1:0"}, 0, "")
	if err != nil {
		return err
	}
	fmt.Println(ln.Addr())
	go func() {
		switch kind {
		case "gomilter":
			serveGoMilter(ln, gomilter.OptSkip)
		case "gomilter-nrbody":
			serveGoMilter(ln, gomilter.OptNoBodyReply)
		default:
			_ = milter.NewServer(milter.Config{
				NewSession: func(context.Context) milter.Session { return idleSession{} },
			}).Serve(ln)
		}
	}()
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			return err
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		fmt.Println((u.Utime.Nano()+u.Stime.Nano())/1000, m.Mallocs, m.TotalAlloc)
	}
	return lines.Err()
}

// idleSession lets everything pass.
type idleSession struct{}

func (idleSession) Connect(milter.Connect)        {}
func (idleSession) Helo(string)                   {}
func (idleSession) Mail(milter.Mail)              {}
func (idleSession) Rcpt(milter.Rcpt) milter.Reply { return milter.Reply{} }
func (idleSession) Header(string, []byte)         {}
func (idleSession) EndOfHeader()                  {}
func (idleSession) Body([]byte) bool              { return true }
func (idleSession) Abort()                        {}
func (idleSession) Close()                        {}
func (idleSession) EndOfMessage(context.Context, string) milter.Response {
	return milter.Response{}
}

// serveGoMilter is emersion/go-milter in the least shell that keeps a
// connection's facts: a library Server for each connection.
func serveGoMilter(ln net.Listener, body gomilter.OptProtocol) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			one := &oneConn{conn: &flushConn{Conn: conn, out: bufio.NewWriter(conn)}, done: make(chan struct{})}
			s := gomilter.Server{
				NewMilter: func() gomilter.Milter { return idleMilter{answersBody: body&gomilter.OptNoBodyReply == 0} },
				Actions: gomilter.OptAddHeader | gomilter.OptAddRcpt | gomilter.OptRemoveRcpt |
					gomilter.OptChangeHeader | gomilter.OptQuarantine,
				Protocol: gomilter.OptNoConnReply | gomilter.OptNoHeloReply | gomilter.OptNoMailReply |
					gomilter.OptNoRcptReply | gomilter.OptNoHeaderReply | gomilter.OptNoEOHReply |
					gomilter.OptHeaderLeadingSpace | body,
			}
			_ = s.Serve(one)
		}()
	}
}

// oneConn is a listener that gives one connection.
type oneConn struct {
	conn net.Conn
	done chan struct{}
	once sync.Once
	gave bool
}

func (l *oneConn) Accept() (net.Conn, error) {
	if l.gave {
		<-l.done
		return nil, io.EOF
	}
	l.gave = true
	return &closeNotice{Conn: l.conn, l: l}, nil
}
func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return l.conn.LocalAddr() }

type closeNotice struct {
	net.Conn
	l *oneConn
}

func (c *closeNotice) Close() error {
	c.l.once.Do(func() { close(c.l.done) })
	return c.Conn.Close()
}

// flushConn buffers both ways: it writes before it waits for more.
type flushConn struct {
	net.Conn
	in  *bufio.Reader
	out *bufio.Writer
}

func (c *flushConn) Read(b []byte) (int, error) {
	if c.in == nil {
		c.in = bufio.NewReaderSize(c.Conn, 8<<10)
	}
	if c.in.Buffered() == 0 {
		if err := c.out.Flush(); err != nil {
			return 0, err
		}
	}
	return c.in.Read(b)
}

func (c *flushConn) Write(b []byte) (int, error) { return c.out.Write(b) }

// idleMilter answers only where an answer is due.
type idleMilter struct {
	gomilter.NoOpMilter
	answersBody bool
}

func (m idleMilter) BodyChunk([]byte, *gomilter.Modifier) (gomilter.Response, error) {
	if m.answersBody {
		return gomilter.RespContinue, nil
	}
	return nil, nil
}

func (idleMilter) Connect(string, string, uint16, net.IP, *gomilter.Modifier) (gomilter.Response, error) {
	return nil, nil
}
func (idleMilter) Helo(string, *gomilter.Modifier) (gomilter.Response, error)     { return nil, nil }
func (idleMilter) MailFrom(string, *gomilter.Modifier) (gomilter.Response, error) { return nil, nil }
func (idleMilter) RcptTo(string, *gomilter.Modifier) (gomilter.Response, error)   { return nil, nil }
func (idleMilter) Header(string, string, *gomilter.Modifier) (gomilter.Response, error) {
	return nil, nil
}
func (idleMilter) Headers(textproto.MIMEHeader, *gomilter.Modifier) (gomilter.Response, error) {
	return nil, nil
}

// benchChild is a server in a process of its own.
type benchChild struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	addr string
}

func startChild(b *testing.B, kind string) *benchChild {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), serverEnv+"="+kind)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	c := &benchChild{cmd: cmd, in: in, out: bufio.NewReader(out)}
	b.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			b.Error(err)
		}
	})
	addr, err := c.out.ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	c.addr = strings.TrimSpace(addr)
	return c
}

func (c *benchChild) usage(b *testing.B) (cpu, allocs, bytes float64) {
	b.Helper()
	if _, err := fmt.Fprintln(c.in); err != nil {
		b.Fatal(err)
	}
	line, err := c.out.ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	if _, err := fmt.Sscan(line, &cpu, &allocs, &bytes); err != nil {
		b.Fatal(err)
	}
	return cpu, allocs, bytes
}

// benchMessage is a message of size bytes with 26 fields, three of them folded.
func benchMessage(size int) []byte {
	var b bytes.Buffer
	for i := range 3 {
		fmt.Fprintf(&b, "Received: from relay%d.example.net (relay%d.example.net [192.0.2.%d])\r\n"+
			"\tby mx.example.org (Postfix) with ESMTPS id 4F00%d\r\n\tfor <user@example.org>; Sat, 21 Nov 2026 10:00:00 +0000\r\n", i, i, i, i)
	}
	fmt.Fprintf(&b, "DKIM-Signature: v=1; a=rsa-sha256; c=relaxed/relaxed; d=example.net; s=s1;\r\n\th=from:to:subject; bh=%s;\r\n\tb=%s\r\n",
		strings.Repeat("A", 44), strings.Repeat("B", 344))
	b.WriteString("From: A Person <person@example.net>\r\nTo: user@example.org\r\nSubject: benchmark\r\n" +
		"Date: Sat, 21 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@example.net>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n")
	for i := range 15 {
		b.WriteString("X-Extra-" + strconv.Itoa(i) + ": " + strings.Repeat("x", 40) + "\r\n")
	}
	b.WriteString("\r\n")
	for b.Len() < size {
		b.WriteString("The quick brown fox jumps over the lazy dog, again and again and again.\r\n")
	}
	return b.Bytes()
}

// BenchmarkTransport measures what it costs to carry a message over loopback
// TCP to a milter that does nothing, 16 connections at once: "fresh" with a
// connection for each message, "kept" with many messages on each.
// cpu-µs/msg is the CPU time of the milter's process alone.
func BenchmarkTransport(b *testing.B) {
	for _, size := range []int{4 << 10, 300 << 10} {
		for _, kind := range []string{"gomilter-nrbody", "gomilter", "own-nrbody", "own"} {
			for _, perConn := range []int{1, 1000} {
				use := map[int]string{1: "fresh", 1000: "kept"}[perConn]
				b.Run(fmt.Sprintf("%dKiB/%s/%s", size>>10, use, kind), func(b *testing.B) {
					benchTransport(b, kind, size, perConn)
				})
			}
		}
	}
}

func benchTransport(b *testing.B, kind string, size, perConn int) {
	const connections = 16
	child := startChild(b, kind)
	raw := benchMessage(size)
	offer := miltertest.Postfix()
	if kind == "own-nrbody" {
		offer.Steps &^= miltertest.Skip // then dmarcd gives the replies to body chunks away
	}
	msg := &miltertest.Message{
		From:  "<person@example.net>",
		Rcpts: []string{"<user@example.org>"},
		Macros: map[byte][]string{
			miltertest.CmdMail: {"i", "4F0012ABCD"},
			miltertest.CmdRcpt: {"{rcpt_mailer}", "local"},
			miltertest.CmdEnd:  {"i", "4F0012ABCD"},
		},
		Raw: raw,
	}
	var left atomic.Int64
	var wg sync.WaitGroup
	run := func(n int) {
		left.Store(int64(n))
		for range connections {
			wg.Go(func() {
				for more := true; more; {
					var err error
					if more, err = sendMany(child.addr, offer, msg, perConn, &left); err != nil {
						b.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
	run(200)
	cpu0, allocs0, bytes0 := child.usage(b)
	b.ResetTimer()
	run(b.N)
	b.StopTimer()
	cpu, allocs, bytes := child.usage(b)
	n := float64(b.N)
	b.ReportMetric((cpu-cpu0)/n, "cpu-µs/msg")
	b.ReportMetric((allocs-allocs0)/n, "server-allocs/msg")
	b.ReportMetric((bytes-bytes0)/n, "server-B/msg")
	b.ReportMetric(n/b.Elapsed().Seconds(), "msg/s")
}

// sendMany sends up to n messages on one connection, while any are left.
func sendMany(addr string, offer miltertest.Offer, msg *miltertest.Message, n int, left *atomic.Int64) (more bool, err error) {
	m, err := miltertest.Open("tcp", addr, offer)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, m.Quit()) }()
	for range n {
		if left.Add(-1) < 0 {
			return false, nil
		}
		r, err := m.Send(msg)
		if err != nil {
			return false, err
		}
		if !r.Accepts() {
			return false, fmt.Errorf("answer %q", r.Action)
		}
	}
	return true, nil
}

// Package miltertest is a fake MTA: it speaks the milter protocol to a filter
// over a socket, packet by packet where a test wants to misbehave, or a whole
// message at a time as Postfix and Sendmail would.
//
// It shares no code with package milter, so that they cannot share a defect.
package miltertest

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// DefaultTimeout is how long an MTA waits for one packet of the filter.
const DefaultTimeout = 10 * time.Second

// maxPacket bounds what the filter may send in one packet: Sendmail refuses more.
const maxPacket = 65535

// Packet is one packet as read.
type Packet struct {
	Cmd  byte
	Data []byte // a copy; without the command byte
}

// MTA is one milter connection seen from the MTA. It belongs to one goroutine. Packets
// are buffered until a reply is awaited, as by Postfix; with Unbuffered set each is sent
// by itself, as by Sendmail.
type MTA struct {
	Conn       net.Conn
	Timeout    time.Duration // 0 means DefaultTimeout
	Unbuffered bool

	// What was agreed, after Negotiate.
	Version uint32
	Actions uint32
	Steps   uint32
	Symbols map[uint32]string // the macros that the filter requested, by stage number

	out   []byte
	in    *bufio.Reader
	inBuf []byte
	hello bool // connect and HELO were sent
}

// Dial opens a connection to a filter without saying anything.
func Dial(network, addr string) (*MTA, error) {
	conn, err := net.DialTimeout(network, addr, DefaultTimeout)
	if err != nil {
		return nil, fmt.Errorf("miltertest: %w", err)
	}
	return New(conn), nil
}

// New makes an MTA of a connection, which it then owns.
func New(conn net.Conn) *MTA {
	return &MTA{Conn: conn, in: bufio.NewReader(conn)}
}

// Open dials and negotiates.
func Open(network, addr string, offer Offer) (*MTA, error) {
	m, err := Dial(network, addr)
	if err != nil {
		return nil, err
	}
	if err := m.Negotiate(offer); err != nil {
		m.Conn.Close()
		return nil, err
	}
	return m, nil
}

// Negotiate offers and takes what the filter answers. It fails where a real
// MTA would drop the filter: bits that were not offered, or a newer version.
func (m *MTA) Negotiate(offer Offer) error {
	var b [12]byte
	binary.BigEndian.PutUint32(b[0:], offer.Version)
	binary.BigEndian.PutUint32(b[4:], offer.Actions)
	binary.BigEndian.PutUint32(b[8:], offer.Steps)
	m.Put(CmdNegotiate, b[:])
	p, err := m.Get()
	if err != nil {
		return fmt.Errorf("miltertest: negotiation: %w", err)
	}
	if p.Cmd != CmdNegotiate || len(p.Data) < 12 {
		return fmt.Errorf("miltertest: negotiation answered by %q of %d bytes", p.Cmd, len(p.Data))
	}
	m.Version = binary.BigEndian.Uint32(p.Data[0:])
	m.Actions = binary.BigEndian.Uint32(p.Data[4:])
	m.Steps = binary.BigEndian.Uint32(p.Data[8:])
	switch {
	case m.Version > offer.Version || m.Version < 2:
		return fmt.Errorf("miltertest: version %d answered to %d", m.Version, offer.Version)
	case m.Actions&^offer.Actions != 0:
		return fmt.Errorf("miltertest: actions %#x not offered", m.Actions&^offer.Actions)
	case m.Steps&^offer.Steps != 0:
		return fmt.Errorf("miltertest: steps %#x not offered", m.Steps&^offer.Steps)
	}
	return m.symbols(p.Data[12:])
}

func (m *MTA) symbols(b []byte) error {
	m.Symbols = map[uint32]string{}
	if len(b) > 0 && m.Actions&ActSymbols == 0 {
		return errors.New("miltertest: macro lists without SMFIF_SETSYMLIST")
	}
	for len(b) > 0 {
		if len(b) < 5 {
			return errors.New("miltertest: macro list cut")
		}
		list, rest, ok := strings.Cut(string(b[4:]), "\x00")
		if !ok {
			return errors.New("miltertest: macro list without NUL")
		}
		m.Symbols[binary.BigEndian.Uint32(b)] = list
		b = []byte(rest)
	}
	return nil
}

// Put buffers one packet whose data are the parts, one after the other. NUL-terminated
// strings must include the NUL: see Str.
func (m *MTA) Put(cmd byte, parts ...[]byte) {
	start := m.begin(cmd)
	for _, p := range parts {
		m.out = append(m.out, p...)
	}
	m.end(start)
}

// PutStrings buffers one packet of NUL-terminated strings.
func (m *MTA) PutStrings(cmd byte, strs ...string) {
	start := m.begin(cmd)
	for _, s := range strs {
		m.out = append(append(m.out, s...), 0)
	}
	m.end(start)
}

// PutRaw buffers bytes as they are, for packets that are none.
func (m *MTA) PutRaw(b []byte) { m.out = append(m.out, b...) }

// Macros buffers the macros sent before command stage: names and values alternate.
func (m *MTA) Macros(stage byte, pairs ...string) {
	start := m.begin(CmdMacro)
	m.out = append(m.out, stage)
	for _, s := range pairs {
		m.out = append(append(m.out, s...), 0)
	}
	m.end(start)
}

// Str is s and a NUL.
func Str(s string) []byte { return append([]byte(s), 0) }

func (m *MTA) begin(cmd byte) int {
	start := len(m.out)
	m.out = append(m.out, 0, 0, 0, 0, cmd)
	return start
}

func (m *MTA) end(start int) {
	binary.BigEndian.PutUint32(m.out[start:], uint32(len(m.out)-start-4))
	if m.Unbuffered {
		// An error shows at the next Get.
		_ = m.Flush()
	}
}

// Flush sends what is buffered.
func (m *MTA) Flush() error {
	if len(m.out) == 0 {
		return nil
	}
	if err := m.deadline(); err != nil {
		return err
	}
	_, err := m.Conn.Write(m.out)
	m.out = m.out[:0]
	return err
}

func (m *MTA) deadline() error {
	d := m.Timeout
	if d == 0 {
		d = DefaultTimeout
	}
	return m.Conn.SetDeadline(time.Now().Add(d))
}

// Get sends what is buffered and reads one packet.
func (m *MTA) Get() (Packet, error) {
	cmd, data, err := m.get()
	if err != nil {
		return Packet{}, err
	}
	return Packet{Cmd: cmd, Data: append([]byte(nil), data...)}, nil
}

// get is Get without the copy; data lasts until the next get.
func (m *MTA) get() (byte, []byte, error) {
	if err := m.Flush(); err != nil {
		return 0, nil, err
	}
	if m.in.Buffered() == 0 {
		if err := m.deadline(); err != nil {
			return 0, nil, err
		}
	}
	head, err := m.in.Peek(5)
	if err != nil {
		if len(head) > 0 && errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, nil, err
	}
	n, cmd := binary.BigEndian.Uint32(head), head[4]
	if n < 1 || n > maxPacket {
		return 0, nil, fmt.Errorf("miltertest: filter sent a packet of %d bytes", n)
	}
	if _, err := m.in.Discard(5); err != nil {
		return 0, nil, err
	}
	if cap(m.inBuf) < int(n) {
		m.inBuf = make([]byte, n)
	}
	data := m.inBuf[:n-1]
	if _, err := io.ReadFull(m.in, data); err != nil {
		return 0, nil, err
	}
	return cmd, data, nil
}

// Silent reports whether the filter sends nothing for d; an error other than the time-out
// also counts as nothing sent; Get reports it.
func (m *MTA) Silent(d time.Duration) bool {
	if err := m.Flush(); err != nil {
		return true
	}
	if err := m.Conn.SetReadDeadline(time.Now().Add(d)); err != nil {
		return true
	}
	_, err := m.in.Peek(1)
	return err != nil
}

// Closed waits for the filter to close the connection and reports whether it
// did so without sending anything more.
func (m *MTA) Closed() bool {
	_, _, err := m.get()
	var ne net.Error
	return err != nil && !(errors.As(err, &ne) && ne.Timeout())
}

// awaits reports whether command cmd is answered.
func (m *MTA) awaits(cmd byte) bool { return m.Steps&noReply[cmd] == 0 }

// sends reports whether command cmd is sent at all.
func (m *MTA) sends(cmd byte) bool { return m.Steps&leftOut[cmd] == 0 }

// Quit sends quit and closes the connection.
func (m *MTA) Quit() error {
	m.Put(CmdQuit)
	return errors.Join(m.Flush(), m.Conn.Close())
}

// Abort tells the filter that the transaction is over; there is no answer.
func (m *MTA) Abort() error {
	m.Put(CmdAbort)
	return m.Flush()
}

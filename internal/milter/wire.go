package milter

// The milter protocol has no RFC. What is here follows the behaviour of
// Sendmail 8.17 (libmilter) and Postfix 3.7 (milter8).

// Versions of the protocol. Sendmail introduced 2 with 8.11, 6 with 8.14.
const (
	minVersion = 2
	maxVersion = 6
)

// command is the first byte of a packet from the MTA.
type command byte

const (
	cmdAbort     command = 'A'
	cmdBody      command = 'B'
	cmdConnect   command = 'C'
	cmdMacro     command = 'D'
	cmdEnd       command = 'E' // end of message
	cmdHelo      command = 'H'
	cmdQuitNC    command = 'K' // quit, and a new SMTP connection follows on the same socket
	cmdHeader    command = 'L'
	cmdMail      command = 'M'
	cmdEOH       command = 'N'
	cmdNegotiate command = 'O'
	cmdQuit      command = 'Q'
	cmdRcpt      command = 'R'
	cmdData      command = 'T'
	cmdUnknown   command = 'U' // an SMTP command that the MTA does not know
)

// First bytes of packets to the MTA.
const (
	respAddRcpt      = '+'
	respDeleteRcpt   = '-'
	respAccept       = 'a'
	respContinue     = 'c'
	respDiscard      = 'd'
	respAddHeader    = 'h'
	respInsertHeader = 'i'
	respChangeHeader = 'm'
	respQuarantine   = 'q'
	respSkip         = 's'
	respReplyCode    = 'y'
)

// bits is a mask of actions or of steps.
type bits uint32

// Actions: what a filter may do to a message.
const (
	actAddHeaders    bits = 1 << 0 // also covers inserting
	actAddRcpt       bits = 1 << 2
	actDeleteRcpt    bits = 1 << 3
	actChangeHeaders bits = 1 << 4 // also covers deleting
	actQuarantine    bits = 1 << 5
	actSymbols       bits = 1 << 8 // the filter names the macros that it wants
)

// Steps: what the MTA can leave out, and what it can do besides.
const (
	nrHeader  bits = 1 << 7 // "nr": the command gets no reply
	noUnknown bits = 1 << 8
	noData    bits = 1 << 9
	canSkip   bits = 1 << 10
	nrConnect bits = 1 << 12
	nrHelo    bits = 1 << 13
	nrMail    bits = 1 << 14
	nrRcpt    bits = 1 << 15
	nrData    bits = 1 << 16
	nrUnknown bits = 1 << 17
	nrEOH     bits = 1 << 18
	nrBody    bits = 1 << 19
	leadSpace bits = 1 << 20 // values include the blanks after the colon, in both directions
)

// noReply is the step bit that takes the reply to c away; 0 for a command that
// is always answered, or never.
func (c command) noReply() bits {
	switch c {
	case cmdConnect:
		return nrConnect
	case cmdHelo:
		return nrHelo
	case cmdMail:
		return nrMail
	case cmdRcpt:
		return nrRcpt
	case cmdData:
		return nrData
	case cmdUnknown:
		return nrUnknown
	case cmdHeader:
		return nrHeader
	case cmdEOH:
		return nrEOH
	case cmdBody:
		return nrBody
	}
	return 0
}

// answered reports whether c gets a reply unless that was negotiated away.
func (c command) answered() bool { return c.noReply() != 0 || c == cmdEnd }

// Sizes.
const (
	// maxPacket bounds a packet from the MTA. A body chunk has 64 KiB at most, since
	// larger ones are not requested; a header field can be larger (Postfix
	// header_size_limit is 100 KiB by default).
	maxPacket = 1 << 20
	// maxReply bounds a packet to the MTA: Sendmail drops a filter that sends
	// more than its MILTER_CHUNK_SIZE.
	maxReply = 65535
	// smallBuffer is the read buffer that each connection keeps. Header and body of a
	// small mail fit.
	smallBuffer = 8 << 10
	// largeBuffer holds a full body chunk and is borrowed for one message.
	largeBuffer = 65536 + 16
)

// Stages for which macros can be requested, as numbered in negotiation.
const (
	symConnect = 0
	symMail    = 2
	symRcpt    = 3
	symEnd     = 5
)

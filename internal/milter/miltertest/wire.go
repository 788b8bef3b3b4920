package miltertest

// Commands, from the MTA to the filter.
const (
	CmdAbort     = 'A'
	CmdBody      = 'B'
	CmdConnect   = 'C'
	CmdMacro     = 'D'
	CmdEnd       = 'E' // end of message
	CmdHelo      = 'H'
	CmdQuitNC    = 'K' // the same socket serves a new SMTP client
	CmdHeader    = 'L'
	CmdMail      = 'M'
	CmdEOH       = 'N'
	CmdNegotiate = 'O'
	CmdQuit      = 'Q'
	CmdRcpt      = 'R'
	CmdData      = 'T'
	CmdUnknown   = 'U'
)

// Replies, from the filter to the MTA.
const (
	RespAddRcpt      = '+'
	RespDeleteRcpt   = '-'
	RespAccept       = 'a'
	RespContinue     = 'c'
	RespDiscard      = 'd'
	RespAddHeader    = 'h'
	RespInsertHeader = 'i'
	RespChangeHeader = 'm'
	RespProgress     = 'p'
	RespQuarantine   = 'q'
	RespReject       = 'r'
	RespSkip         = 's'
	RespTempFail     = 't'
	RespReplyCode    = 'y'
)

// Actions that an MTA allows.
const (
	ActAddHeaders    = 1 << 0
	ActChangeBody    = 1 << 1
	ActAddRcpt       = 1 << 2
	ActDeleteRcpt    = 1 << 3
	ActChangeHeaders = 1 << 4
	ActQuarantine    = 1 << 5
	ActChangeFrom    = 1 << 6
	ActAddRcptArgs   = 1 << 7
	ActSymbols       = 1 << 8 // the filter may name the macros that it wants
)

// Steps: what of the protocol an MTA can leave out or do.
const (
	NoConnect    = 1 << 0
	NoHelo       = 1 << 1
	NoMail       = 1 << 2
	NoRcpt       = 1 << 3
	NoBody       = 1 << 4
	NoHeaders    = 1 << 5
	NoEOH        = 1 << 6
	NRHeader     = 1 << 7 // "NR": no reply wanted
	NoUnknown    = 1 << 8
	NoData       = 1 << 9
	Skip         = 1 << 10
	RcptRejected = 1 << 11
	NRConnect    = 1 << 12
	NRHelo       = 1 << 13
	NRMail       = 1 << 14
	NRRcpt       = 1 << 15
	NRData       = 1 << 16
	NRUnknown    = 1 << 17
	NREOH        = 1 << 18
	NRBody       = 1 << 19
	LeadSpace    = 1 << 20
	Data256K     = 1 << 28
	Data1M       = 1 << 29
)

// noReply maps a command to the step bit that takes its reply away.
var noReply = [256]uint32{
	CmdConnect: NRConnect,
	CmdHelo:    NRHelo,
	CmdMail:    NRMail,
	CmdRcpt:    NRRcpt,
	CmdData:    NRData,
	CmdUnknown: NRUnknown,
	CmdHeader:  NRHeader,
	CmdEOH:     NREOH,
	CmdBody:    NRBody,
}

// leftOut maps a command to the step bit that takes it away wholly.
var leftOut = [256]uint32{
	CmdConnect: NoConnect,
	CmdHelo:    NoHelo,
	CmdMail:    NoMail,
	CmdRcpt:    NoRcpt,
	CmdData:    NoData,
	CmdUnknown: NoUnknown,
	CmdHeader:  NoHeaders,
	CmdEOH:     NoEOH,
	CmdBody:    NoBody,
}

// Offer is an MTA's offer at negotiation.
type Offer struct {
	Version uint32
	Actions uint32
	Steps   uint32
}

// Postfix is the offer of Postfix 3 with milter_protocol = 6.
func Postfix() Offer {
	return Offer{Version: 6, Actions: 0x1ff, Steps: 0x1fffff}
}

// Sendmail is the offer of Sendmail 8.17 without a larger data size.
func Sendmail() Offer {
	return Offer{Version: 6, Actions: 0x1ff, Steps: 0x1fffff}
}

// Version2 is the offer of an MTA from before version 3: every command is
// answered, leading space is not kept, nothing is skipped.
func Version2() Offer {
	return Offer{Version: 2, Actions: 0x3f, Steps: 0x7f}
}

package milter

// macros holds the macros that are used, grouped by lifetime. The names, and mostly the
// values, are compared in the packet, so that a connection that repeats them costs no
// allocation.
type macros struct {
	// Told before connect, kept for the connection.
	mta, version, daemon, clientAddr string
	// Told before MAIL, kept to the end of the transaction. Cleared there, so that
	// no message inherits the login of the one before.
	auth, queueID, test string
	// Sent before RCPT, and cleared by it.
	mailer, rcptAddr string
}

// set takes a macro packet: the command that it belongs to, then names and values.
func (m *macros) set(b []byte) error {
	if len(b) == 0 || len(b) > 1 && b[len(b)-1] != 0 {
		return protocolError("macros carry %.64q", cut(b))
	}
	stage, rest := command(b[0]), b[1:]
	switch stage {
	case cmdConnect:
		m.mta, m.version, m.daemon, m.clientAddr = "", "", "", ""
	case cmdMail:
		m.endTransaction()
	}
	for len(rest) > 0 {
		var name, value []byte
		name, rest, _ = cutString(rest)
		// A name that is last has no value: cutString leaves it empty.
		value, rest, _ = cutString(rest)
		if p := m.field(stage, bare(name)); p != nil && *p != string(value) {
			*p = string(value)
		}
	}
	return nil
}

// field is where the named macro is stored; nil if it is not used. A macro counts only at
// the stage where MTAs define it.
func (m *macros) field(stage command, name []byte) *string {
	switch stage {
	case cmdConnect:
		switch string(name) {
		case "j":
			return &m.mta
		case "v":
			return &m.version
		case "daemon_name":
			return &m.daemon
		case "client_addr":
			return &m.clientAddr
		}
		return nil
	case cmdMail:
		switch string(name) {
		case "auth_authen":
			return &m.auth
		case TestMacro:
			return &m.test
		}
	case cmdRcpt:
		switch string(name) {
		case "rcpt_mailer":
			return &m.mailer
		case "rcpt_addr":
			return &m.rcptAddr
		}
	case cmdHelo:
		return nil
	}
	if string(name) == "i" {
		return &m.queueID
	}
	return nil
}

// bare takes the braces off a long macro's name.
func bare(name []byte) []byte {
	if n := len(name); n > 2 && name[0] == '{' && name[n-1] == '}' {
		return name[1 : n-1]
	}
	return name
}

// TestMacro marks a message as a test. No MTA defines it, so only a milter client can set
// it.
const TestMacro = "dmarcd_test"

func (m *macros) endTransaction() {
	m.auth, m.queueID, m.mailer, m.rcptAddr, m.test = "", "", "", "", ""
}

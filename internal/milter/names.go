package milter

// Names of header fields recur with every message; their strings are allocated once.

// commonNames are shared by all connections of a server, which only read it.
func commonNames() map[string]string {
	m := map[string]string{}
	for _, s := range []string{
		"ARC-Authentication-Results", "ARC-Message-Signature", "ARC-Seal", "Accept-Language",
		"Authentication-Results", "Auto-Submitted", "CC", "Cc", "Content-Disposition", "Content-ID",
		"Content-Language", "Content-Transfer-Encoding", "Content-Type", "DKIM-Signature", "Date",
		"DomainKey-Signature", "Errors-To", "Feedback-ID", "From", "Importance", "In-Reply-To",
		"List-Archive", "List-Help", "List-ID", "List-Id", "List-Owner", "List-Post", "List-Subscribe",
		"List-Unsubscribe", "List-Unsubscribe-Post", "MIME-Version", "Message-ID", "Message-Id",
		"Mime-Version", "Organization", "Precedence", "Received", "Received-SPF", "References",
		"Reply-To", "Return-Path", "Sender", "Subject", "Thread-Index", "Thread-Topic", "To",
		"User-Agent", "X-Feedback-ID", "X-Forwarded-Encrypted", "X-Forwarded-For", "X-Forwarded-To",
		"X-Gm-Message-State", "X-Google-DKIM-Signature", "X-Google-Smtp-Source", "X-MS-Exchange-Organization-SCL",
		"X-Mailer", "X-Mimecast-Spam-Score", "X-Originating-IP", "X-Priority", "X-Received",
		"X-SES-Outgoing", "X-Sender", "X-Spam-Flag", "X-Spam-Status",
	} {
		m[s] = s
	}
	return m
}

// Bounds of what one connection adds to the common names.
const (
	maxOwnNames = 64
	maxOwnName  = 64 // bytes
)

// names makes strings of field names.
type names struct {
	common map[string]string
	own    map[string]string
}

func (n *names) get(b []byte) string {
	if s, ok := n.common[string(b)]; ok {
		return s
	}
	if s, ok := n.own[string(b)]; ok {
		return s
	}
	s := string(b)
	if len(s) <= maxOwnName && len(n.own) < maxOwnNames {
		if n.own == nil {
			n.own = make(map[string]string)
		}
		n.own[s] = s
	}
	return s
}

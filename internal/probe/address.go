package probe

import (
	"fmt"
	"strings"
	"unicode"

	"dmarcd/internal/message"
)

// FlagAddress reads the envelope address that a flag gives, with or without angle
// brackets. What could not stand in a command of SMTP as it is, is no address.
func FlagAddress(flag, text string) (message.Address, error) {
	a := message.ParseAddress(text)
	bad := func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) || r == unicode.ReplacementChar }
	if a.Local == "" || a.Domain.IsZero() || strings.ContainsFunc(text, bad) || strings.ContainsAny(a.Local, "<>") {
		return message.Address{}, fmt.Errorf("--%s %q is not an address with a domain", flag, text)
	}
	return a, nil
}

// flagSender is flagAddress for MAIL FROM, where "" and "<>" are the null sender.
func flagSender(flag, text string) (message.Address, error) {
	if text == "" || text == "<>" {
		return message.Address{}, nil
	}
	return FlagAddress(flag, text)
}

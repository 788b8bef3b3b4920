package filter

import (
	"bytes"
	"strings"

	"dmarcd/internal/message"
	"dmarcd/internal/settings"
)

// TakesBounces reports whether an address is the sender address of our own reports, with
// or without a "+" suffix in its local part.
func TakesBounces(s *settings.Settings, a message.Address) bool {
	return s.Reports.Enabled && isMailbox(a, s.Reports.Email, true)
}

// takesReports reports whether an address is for reports: the address that others send
// theirs to, or the sender of ours.
func takesReports(s *settings.Settings, a message.Address) bool {
	return isMailbox(a, s.Reports.Email, true) || ReceivesReports(s, a)
}

// ReceivesReports reports whether an address is one of analysis.addresses: where
// others send their reports.
func ReceivesReports(s *settings.Settings, a message.Address) bool {
	for i := range s.Analysis.Addresses {
		if isMailbox(a, s.Analysis.Addresses[i].Address, false) {
			return true
		}
	}
	return false
}

// isMailbox compares an address with a mailbox of the settings, in which a local part "*"
// matches any. Case is ignored.
func isMailbox(a message.Address, mailbox string, extended bool) bool {
	at := strings.LastIndexByte(mailbox, '@')
	if at < 0 || a.Host == "" && a.Domain.IsZero() {
		return false
	}
	local, host := mailbox[:at], mailbox[at+1:]
	if !strings.EqualFold(a.Domain.String(), host) && !strings.EqualFold(a.Host, host) {
		return false
	}
	got := a.Local
	if plus := strings.IndexByte(got, '+'); extended && plus > 0 && !strings.Contains(local, "+") {
		got = got[:plus]
	}
	return local == "*" || strings.EqualFold(got, local)
}

// mayBeReport is a cheap look at the header that is false for nearly all mail, and true
// for all mail that report.IsReportMail recognizes.
func mayBeReport(h *message.Header) bool {
	for _, f := range h.Fields {
		switch {
		case f.Is("Subject"):
			if bytes.Contains(f.Raw, []byte("=?")) || containsFold(f.Raw, "submitter") {
				return true
			}
		case f.Is("Content-Type"):
			if containsFold(f.Raw, "report") {
				return true
			}
		}
	}
	return false
}

// containsFold reports whether b has a word, given in lower case, in any case.
func containsFold(b []byte, word string) bool {
next:
	for i := 0; i+len(word) <= len(b); i++ {
		for j := range len(word) {
			if b[i+j]|0x20 != word[j] {
				continue next
			}
		}
		return true
	}
	return false
}

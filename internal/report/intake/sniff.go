package intake

import (
	"bytes"
	"regexp"
)

// content is the kind of some octets.
type content int

const (
	unknownContent content = iota
	nothing                // no octet but white space
	xmlContent
	gzipContent
	zlibContent
	zipContent
	tarContent
	jsonContent
	mailContent
	mboxContent
)

// sniffed is how many octets identify content.
const sniffed = 8 << 10

// sniff identifies content by its first octets.
func sniff(b []byte) content {
	switch {
	case bytes.HasPrefix(b, []byte("\x1f\x8b")):
		return gzipContent
	case bytes.HasPrefix(b, []byte("PK\x03\x04")), bytes.HasPrefix(b, []byte("PK\x05\x06")), bytes.HasPrefix(b, []byte("PK00PK\x03\x04")):
		return zipContent
	case len(b) >= 262 && bytes.Equal(b[257:262], []byte("ustar")):
		return tarContent
	case isZlib(b):
		return zlibContent
	case bytes.HasPrefix(b, []byte("<\x00")), bytes.HasPrefix(b, []byte("\x00<")), bytes.HasPrefix(b, []byte("\xff\xfe<")), bytes.HasPrefix(b, []byte("\xfe\xff\x00<")):
		return xmlContent
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")), " \t\r\n\x00")
	switch {
	case len(text) == 0:
		return nothing
	case text[0] == '<':
		return xmlContent
	case text[0] == '{', text[0] == '[':
		return jsonContent
	case bytes.HasPrefix(b, []byte("From ")):
		return mboxContent
	case isMail(text):
		return mailContent
	}
	return unknownContent
}

// isZlib recognises a header of RFC 1950 section 2.2, by the check of its two octets.
func isZlib(b []byte) bool {
	return len(b) > 2 && b[0] == 0x78 && (int(b[0])<<8|int(b[1]))%31 == 0 && b[1]&0x20 == 0
}

var (
	fieldRE = regexp.MustCompile(`^[!-9;-~]+[ \t]*:`)
	knownRE = regexp.MustCompile(`(?im)^(From|Received|Return-Path|Subject|Date|MIME-Version|Content-Type|Delivered-To|To|Message-ID)[ \t]*:`)
)

// isMail reports whether a text begins like a mail: with fields, including one that mails have.
func isMail(b []byte) bool {
	b = b[:min(len(b), sniffed)]
	if end := bytes.Index(b, []byte("\n\n")); end >= 0 {
		b = b[:end+1]
	}
	if end := bytes.Index(b, []byte("\r\n\r\n")); end >= 0 {
		b = b[:end+2]
	}
	return fieldRE.Match(b) && knownRE.Match(b)
}

// exotics are unsupported archives, by their beginnings.
var exotics = []struct{ begin, name string }{
	{"Rar!\x1a\x07", "a RAR archive"},
	{"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"},
	{"\xfd7zXZ\x00", "a file compressed by xz"},
	{"BZh", "a file compressed by bzip2"},
	{"\x28\xb5\x2f\xfd", "a file compressed by zstd"},
	{"\x1f\x9d", "a file compressed by compress"},
	{"\x30\x80", "an encrypted or signed mail"},
	{"%PDF-", "a PDF file"},
	{"\x78\x9f\x3e\x22", "a file of Microsoft Outlook (winmail.dat)"},
	{"\xd0\xcf\x11\xe0", "a file of Microsoft Office or Outlook"},
}

// exotic names an unsupported archive, "" if it has no name.
func exotic(b []byte) string {
	for _, e := range exotics {
		if bytes.HasPrefix(b, []byte(e.begin)) {
			return e.name
		}
	}
	return ""
}

var reportNameRE = regexp.MustCompile(`(?i)[^!]+![^!]+!\d{6,}!\d{6,}|^dmarc.*\.(xml|gz|zip)$`)

// isReportName recognises the file name of an aggregate report (RFC 9990 section 3.5.2).
func isReportName(name string) bool { return reportNameRE.MatchString(name) }

var reportSubjectRE = regexp.MustCompile(`(?i)report[- ]domain:|dmarc\b.*\breport|report.*\bdmarc\b`)

// isReportSubject recognises the Subject of an intended report.
func isReportSubject(subject string) bool { return reportSubjectRE.MatchString(subject) }

// failureTexts occur in plain-text failure reports: those of Exim, and of gateways.
var failureTexts = []string{
	"A message claiming to be from you has failed the published DMARC",
	"This is an authentication failure report for an email message received from",
	"This is a spf/dkim authentication-failure report for an email message received from",
}

// isFailureText recognises a failure report without MIME parts of its own.
func isFailureText(b []byte) bool {
	flat := bytes.Join(bytes.Fields(b[:min(len(b), sniffed)]), []byte(" "))
	for _, text := range failureTexts {
		if bytes.Contains(flat, []byte(text)) {
			return true
		}
	}
	return false
}

var tlsRE = regexp.MustCompile(`"(policies|organization-name|report-id|date-range)"\s*:`)

// isTLSReport recognises the JSON of RFC 8460.
func isTLSReport(b []byte) bool {
	return len(tlsRE.FindAll(b[:min(len(b), sniffed)], 2)) == 2
}

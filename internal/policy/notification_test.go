package policy

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func echo(token string) string { return "<" + token + ">" }

func TestParseNotification(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, text    string
		subject, body string // with each token T filled in as <T>
	}{
		{"nothing", "", "", ""},
		{"plain text", "mail failed\n", "", "mail failed\n"},
		{"one token", "%SENDER%", "", "<SENDER>"},
		{"tokens side by side", "%SENDER%%RCPTS%", "", "<SENDER><RCPTS>"},
		{"shared percent sign", "%SENDER%RCPTS%", "", "<SENDER>RCPTS%"},
		{"ampersand", "at %DATE&TIME%.", "", "at <DATE&TIME>."},
		{"lone percent signs", "100% of 5%, %%, %", "", "100% of 5%, %%, %"},
		{"percent sign before a token", "5%%ACTION%", "", "5%<ACTION>"},
		{"octets of a URL", "https://example.org/%C3%A9?q=%2f%af%", "", "https://example.org/%C3%A9?q=%2f%af%"},
		{"subject", "Subject: %TACTION% of mail\n\nText\n", "<TACTION> of mail", "Text\n"},
		{"subject in small letters", "subject:x\nText", "x", "Text"},
		{"subject alone", "SUBJECT: x", "x", ""},
		{"subject further down", "Text\nSubject: x\n", "", "Text\nSubject: x\n"},
		{"other scripts", "Subject: Prüfung\n\n差出人\u3000%SENDER%\u00a0!\n", "Prüfung", "差出人\u3000<SENDER>\u00a0!\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			n, err := ParseNotification(tc.text)
			if err != nil {
				t.Fatal(err)
			}
			if got := n.Subject(echo); got != tc.subject {
				t.Errorf("subject %q, want %q", got, tc.subject)
			}
			if got := n.Body(echo); got != tc.body {
				t.Errorf("body %q, want %q", got, tc.body)
			}
			if n.IsZero() != (tc.text == "") {
				t.Errorf("IsZero is %v", n.IsZero())
			}
		})
	}
}

func TestParseNotificationKnowsItsTokens(t *testing.T) {
	t.Parallel()
	for _, token := range NotificationTokens() {
		n, err := ParseNotification("a %" + token + "% b")
		if err != nil {
			t.Errorf("%s: %v", token, err)
			continue
		}
		if got, want := n.Body(echo), "a <"+token+"> b"; got != want {
			t.Errorf("%s: %q, want %q", token, got, want)
		}
	}
}

func TestParseNotificationFaults(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, text string
		token      string // of a *TokenError; "" for another error
		says       string
	}{
		{"unknown token", "%SENDR%", "SENDR", "unknown token %SENDR%"},
		{"all unknown tokens", "Subject: %FOO%\n%SENDR% %SENDER% %BAR% %FOO%", "FOO SENDR BAR", "unknown tokens %FOO% %SENDR% %BAR%; known"},
		{"unknown token of the subject", "Subject: %FOO%\n", "FOO", "%DMARCRESULT%"},
		{"letter case", "%Sender%", "Sender", "unknown token %Sender%"},
		{"token of the vendor that we have not", "%VIRUSNAME%", "VIRUSNAME", "known are"},
		{"not UTF-8", "a\xffb", "", "UTF-8"},
		{"control character", "a\x1bb", "", "U+001B"},
		{"carriage return", "a\r\nb", "", "U+000D"},
		{"text that runs backwards", "a\u202eb", "", "U+202E"},
		{"too long", strings.Repeat("a", maxNotificationTemplate+1), "", "octets"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := ParseNotification(tc.text)
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Fatalf("error %v, want one that says %q", err, tc.says)
			}
			token := ""
			if unknown := (*TokenError)(nil); errors.As(err, &unknown) {
				token = strings.Join(unknown.Tokens, " ")
			}
			if token != tc.token {
				t.Errorf("token %q, want %q", token, tc.token)
			}
		})
	}
}

func TestNotificationIsBounded(t *testing.T) {
	t.Parallel()
	n, err := ParseNotification(strings.Repeat("%HEADERS%", maxNotificationTemplate/len("%HEADERS%")))
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	got := n.Body(func(string) string {
		calls++
		return strings.Repeat("é", 16<<10-1)
	})
	if len(got) > maxNotificationText || len(got) < maxNotificationText-1 {
		t.Errorf("%d octets, want %d", len(got), maxNotificationText)
	}
	if !utf8.ValidString(got) {
		t.Error("cut within a character")
	}
	if calls > 10 {
		t.Errorf("asked for %d values", calls)
	}
}

func FuzzParseNotification(f *testing.F) {
	for _, s := range []string{"", "%SENDER%", "Subject: %SUBJECT%\n\n%HEADERS%", "%", "%%", "%AB%", "%A", "subject:", "é%\xff%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseNotification(s)
		if err != nil {
			return
		}
		// Filled in with themselves, the tokens give the text again.
		same := func(token string) string { return "%" + token + "%" }
		subject, body := splitSubject(s)
		if got := n.Subject(same); got != subject {
			t.Errorf("subject %q of %q", got, s)
		}
		if got := n.Body(same); got != body {
			t.Errorf("body %q of %q", got, s)
		}
	})
}

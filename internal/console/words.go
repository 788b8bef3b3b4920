package console

import (
	_ "embed"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// language is the language of a page.
type language string

// Languages.
const (
	english  language = "en"
	japanese language = "ja"
)

//go:embed words.txt
var wordsFile string

// words has the Japanese of every English text of ours.
var words = sync.OnceValue(func() map[string]string {
	out := map[string]string{}
	for entry := range strings.SplitSeq(strings.TrimSpace(wordsFile), "\n\n") {
		var en, ja string
		for line := range strings.SplitSeq(entry, "\n") {
			switch {
			case strings.HasPrefix(line, "#"):
			case en == "":
				en = line
			default:
				ja = line
			}
		}
		if en != "" {
			out[en] = ja
		}
	}
	return out
})

// say returns a text in a language; further arguments fill it as fmt.Sprintf does.
func say(l language, en string, args ...any) string {
	text := en
	if l == japanese {
		if ja := words()[en]; ja != "" {
			text = ja
		}
	}
	if len(args) == 0 {
		return text
	}
	return fmt.Sprintf(text, args...)
}

// t is say in the language of the visit.
func (v *visit) t(en string, args ...any) string { return say(v.lang, en, args...) }

// chosenLanguage returns that of the link, the user, the last link or the browser.
func (v *visit) chosenLanguage() language {
	known := func(s string) bool { return s == string(english) || s == string(japanese) }
	if l := v.r.URL.Query().Get("lang"); known(l) {
		http.SetCookie(v.w, &http.Cookie{
			Name: languageCookie, Value: l, Path: "/", HttpOnly: true, Secure: v.client.secure, SameSite: http.SameSiteLaxMode, MaxAge: int((365 * 24 * time.Hour).Seconds()),
		})
		return language(l)
	}
	if known(v.user.Language) {
		return language(v.user.Language)
	}
	if c, err := v.r.Cookie(languageCookie); err == nil && known(c.Value) {
		return language(c.Value)
	}
	return acceptedLanguage(v.r.Header.Get("Accept-Language"))
}

// acceptedLanguage returns the one that a browser prefers (RFC 9110 section 12.5.4).
func acceptedLanguage(field string) language {
	best, weight := english, 0.0
	for item := range strings.SplitSeq(field, ",") {
		tag, rest, _ := strings.Cut(strings.TrimSpace(item), ";")
		q := 1.0
		if value, ok := strings.CutPrefix(strings.TrimSpace(rest), "q="); ok {
			var err error
			if q, err = strconv.ParseFloat(value, 64); err != nil {
				q = 0
			}
		}
		primary, _, _ := strings.Cut(strings.ToLower(tag), "-")
		if l := language(primary); q > weight && (l == english || l == japanese) {
			best, weight = l, q
		}
	}
	return best
}

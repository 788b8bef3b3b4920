package explain

import (
	"fmt"
	"slices"
	"strings"
)

// Language is a language in which an explanation can be written.
type Language string

// Languages.
const (
	English  Language = "en"
	Japanese Language = "ja"
)

// Languages lists them.
func Languages() []Language { return []Language{English, Japanese} }

// ParseLanguage reads the name of a language.
func ParseLanguage(s string) (Language, error) {
	if l := Language(s); slices.Contains(Languages(), l) {
		return l, nil
	}
	return "", fmt.Errorf("%q is not a language; expected en or ja", s)
}

func (l Language) orEnglish() Language {
	if l == "" {
		return English
	}
	return l
}

// say is a phrase of the table, with its verbs filled in.
func (l Language) say(p phrase, args ...any) string {
	format := phrases[p].en
	if l == Japanese {
		format = phrases[p].ja
	}
	if len(args) == 0 && !strings.Contains(format, "%") {
		return format
	}
	return fmt.Sprintf(format, args...)
}

func (x *explainer) say(p phrase, args ...any) string { return x.o.Language.say(p, args...) }

// listed joins names for a sentence: "a", "a and b", "a, b and c", and the number of
// those that would be too many.
func (l Language) listed(names []string) string {
	const most = 4
	comma := l.say(listComma)
	switch n := len(names); {
	case n == 0:
		return ""
	case n == 1:
		return names[0]
	case n > most:
		return l.say(listMore, strings.Join(names[:most-1], comma), n-most+1)
	default:
		return l.say(listAnd, strings.Join(names[:n-1], comma), names[n-1])
	}
}

func (x *explainer) listed(names []string) string { return x.o.Language.listed(names) }

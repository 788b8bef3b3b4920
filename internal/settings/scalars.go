package settings

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"gopkg.in/yaml.v3"
)

// meant is an error of a scalar's parser that suggests a better spelling.
type meant struct {
	reason, hint string
	secret       bool // the value must not be repeated in messages
}

func (m *meant) Error() string { return m.reason }

// scalarOf is a single value that parse reads. Parse's error adds a reason to
// "expected …, found …"; it may be empty.
func scalarOf[V any](expected string, parse func(s string) (V, error), show func(v V) *yaml.Node) kind[V] {
	return kind[V]{
		read: func(d *decoder, n *yaml.Node, v *V) {
			s, ok := d.scalar(n, expected)
			if !ok {
				return
			}
			one, err := parse(s)
			if err != nil {
				d.wrong(n, expected, s, err)
				return
			}
			*v = one
		},
		show: show,
	}
}

// wrong reports a value that parse refused.
func (d *decoder) wrong(n *yaml.Node, expected, found string, err error) {
	var m meant
	if known := (*meant)(nil); errors.As(err, &known) {
		m = *known
	}
	problem := "expected " + expected
	if !m.secret {
		problem += fmt.Sprintf(", found %q", clip(found))
	}
	reason := err.Error()
	if strings.Contains(found, " - ") {
		reason = "a - that is indented deeper than the entry above it continues that entry"
	}
	if reason != "" {
		problem += ": " + reason
	}
	d.faults.add(d.at(n, problem, m.hint), "")
}

// word is one of a few words.
func word[W ~string](words ...W) kind[W] {
	names := make([]string, len(words))
	for i, w := range words {
		names[i] = string(w)
	}
	expected := names[0]
	if last := len(names) - 1; last > 0 {
		expected = strings.Join(names[:last], ", ") + " or " + names[last]
	}
	return scalarOf(expected,
		func(s string) (W, error) {
			if !slices.Contains(names, s) {
				return "", &meant{hint: nearest(s, names)}
			}
			return W(s), nil
		},
		func(w W) *yaml.Node { return plain(string(w)) })
}

// boolean is true or false; YAML 1.1 had eleven spellings for each.
func boolean() kind[bool] {
	return scalarOf("true or false",
		func(s string) (bool, error) {
			switch s {
			case "true":
				return true, nil
			case "false":
				return false, nil
			}
			switch strings.ToLower(s) {
			case "yes", "y", "on", "true", "1":
				return false, &meant{hint: "true"}
			case "no", "n", "off", "false", "0":
				return false, &meant{hint: "false"}
			}
			return false, &meant{}
		},
		func(v bool) *yaml.Node { return literal(strconv.FormatBool(v)) })
}

// integer is a whole number between two bounds.
func integer(least, most int) kind[int] {
	return scalarOf(fmt.Sprintf("a whole number from %d to %d", least, most),
		func(s string) (int, error) {
			v, err := strconv.Atoi(s)
			if err != nil || v < least || v > most {
				return 0, &meant{}
			}
			return v, nil
		},
		func(v int) *yaml.Node { return literal(strconv.Itoa(v)) })
}

// unit is a unit of time or of size.
type unit struct {
	name string
	of   int64
}

var timeUnits = []unit{
	{"d", int64(24 * time.Hour)}, {"h", int64(time.Hour)}, {"m", int64(time.Minute)},
	{"s", int64(time.Second)}, {"ms", int64(time.Millisecond)},
}

var sizeUnits = []unit{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// duration is a time span such as 2s, 4h, 400d or 1h30m.
func duration(least, most time.Duration) kind[time.Duration] {
	expected := fmt.Sprintf("a duration from %s to %s", measured(int64(least), timeUnits), measured(int64(most), timeUnits))
	return scalarOf(expected,
		func(s string) (time.Duration, error) {
			v, err := measure(s, timeUnits, "s")
			if err == nil && (v < int64(least) || v > int64(most)) {
				err = &meant{}
			}
			return time.Duration(v), err
		},
		func(v time.Duration) *yaml.Node { return plain(measured(int64(v), timeUnits)) })
}

// size is a number of octets such as 1MiB.
func size(least, most int64) kind[int64] {
	expected := fmt.Sprintf("a size from %s to %s", measured(least, sizeUnits), measured(most, sizeUnits))
	return scalarOf(expected,
		func(s string) (int64, error) {
			v, err := measure(s, sizeUnits, "MiB")
			if err == nil && (v < least || v > most) {
				err = &meant{}
			}
			return v, err
		},
		func(v int64) *yaml.Node { return plain(measured(v, sizeUnits)) })
}

// measure reads numbers with units, such as 1h30m. Usual is the unit to propose
// for a bare number.
func measure(s string, units []unit, usual string) (int64, error) {
	sum, rest := int64(0), s
	for rest != "" {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		v, err := strconv.ParseInt(rest[:digits], 10, 64)
		if err != nil {
			return 0, &meant{}
		}
		rest = rest[digits:]
		letters := strings.IndexAny(rest, "0123456789")
		if letters < 0 {
			letters = len(rest)
		}
		name := rest[:letters]
		rest = rest[letters:]
		i := slices.IndexFunc(units, func(u unit) bool { return u.name == name })
		switch {
		case name == "" && rest == "":
			return 0, &meant{reason: "the unit is missing", hint: s + usual}
		case i < 0:
			return 0, unknownUnit(s, name, units)
		case v > (math.MaxInt64-sum)/units[i].of:
			return 0, &meant{reason: "too large"}
		}
		sum += v * units[i].of
	}
	if s == "" {
		return 0, &meant{}
	}
	return sum, nil
}

// unknownUnit proposes KiB for k, kb or KB, h for H, and so on.
func unknownUnit(s, name string, units []unit) error {
	names := make([]string, len(units))
	hint := ""
	for i, u := range units {
		names[i] = u.name
		short, given := strings.ToLower(u.name), strings.ToLower(strings.TrimSpace(name))
		if hint == "" && given != "" && (short == given || strings.HasSuffix(u.name, "iB") && strings.TrimSuffix(given, "b") == short[:1]) {
			hint = strings.TrimSuffix(s, name) + u.name
		}
	}
	return &meant{reason: "the units are " + strings.Join(names, ", "), hint: hint}
}

// measured is v in the largest units that give whole numbers.
func measured(v int64, units []unit) string {
	for _, u := range units {
		if v >= u.of && v%u.of == 0 {
			return strconv.FormatInt(v/u.of, 10) + u.name
		}
	}
	return strconv.FormatInt(v, 10) + units[len(units)-1].name
}

// timeOfDay is HH:MM.
func timeOfDay() kind[TimeOfDay] {
	return scalarOf("a time of day such as 00:30",
		func(s string) (TimeOfDay, error) {
			t, err := time.Parse("15:04", s)
			if err != nil || len(s) != len("00:30") {
				return 0, &meant{}
			}
			return TimeOfDay(t.Hour()*60 + t.Minute()), nil
		},
		func(v TimeOfDay) *yaml.Node { return quoted(fmt.Sprintf("%02d:%02d", v/60, v%60)) })
}

// freeText is one line of text.
func freeText(expected string, most int) kind[string] {
	return scalarOf(expected, func(s string) (string, error) { return oneLine(s, most) }, quoted)
}

// oneLine refuses what a log, a header or a page could not show.
func oneLine(s string, most int) (string, error) {
	if len(s) > most {
		return "", &meant{reason: fmt.Sprintf("over %d octets", most)}
	}
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return "", &meant{reason: fmt.Sprintf("%U cannot be printed", r)}
		}
	}
	return s, nil
}

// required refuses the empty text.
func required(k kind[string]) kind[string] {
	read := k.read
	k.read = func(d *decoder, n *yaml.Node, v *string) {
		if n.Kind == yaml.ScalarNode && n.Value == "" && !isNull(n) {
			d.fault(n, "a value is needed here")
			return
		}
		read(d, n, v)
	}
	return k
}

// optional takes the empty text as the zero value, "none".
func optional[V any](k kind[V], none func(v V) bool) kind[V] {
	read, show := k.read, k.show
	k.read = func(d *decoder, n *yaml.Node, v *V) {
		if n.Kind == yaml.ScalarNode && n.Value == "" && !isNull(n) {
			var zero V
			*v = zero
			return
		}
		read(d, n, v)
	}
	k.show = func(v V) *yaml.Node {
		if none(v) {
			return quoted("")
		}
		return show(v)
	}
	return k
}

// orEmpty is optional for text.
func orEmpty(k kind[string]) kind[string] {
	return optional(k, func(s string) bool { return s == "" })
}

// orStandard takes the empty text as the default.
func orStandard(k kind[string]) kind[string] {
	read := k.read
	k.read = func(d *decoder, n *yaml.Node, v *string) {
		if n.Kind == yaml.ScalarNode && n.Value == "" {
			return
		}
		read(d, n, v)
	}
	return k
}

// wordOr is a value with a short form, a word, and a long one, a section.
func wordOr[V any](short, long kind[V], isShort func(v V) bool) kind[V] {
	return kind[V]{
		keys: long.keys,
		read: func(d *decoder, n *yaml.Node, v *V) {
			if n.Kind == yaml.MappingNode {
				long.read(d, n, v)
				return
			}
			short.read(d, n, v)
		},
		show: func(v V) *yaml.Node {
			if isShort(v) {
				return short.show(v)
			}
			return long.show(v)
		},
	}
}

// aValue is a value whose long form is rarely needed: its keys are not listed among those
// of the file.
func aValue[V any](k kind[V]) kind[V] {
	k.keys = nil
	return k
}

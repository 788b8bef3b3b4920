package yamldoc

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// long is a policy file of more than 200 lines, with what such files hold: lists of
// both forms, sections of both, comments, quotes and text in blocks.
func long() []string {
	lines := strings.Split(strings.TrimSuffix(`# policy.yaml
mode: enforce   # a comment: with a colon
managed: [example.org, "*.example.org"]
default: &std
  dmarc:
    criteria: rfc
    senders:
      - bank.example
      - "*.bank.example" # it's quoted
    actions: {none: bypass,
      quarantine: quarantine, # more
      reject: reject}
    reject_text: "5.7.1 {domain} asks: \"no\""
  quarantine:
    method: hold
domains:`, "\n"), "\n")
	for i := range 60 {
		lines = append(lines, strings.Split(fmt.Sprintf(`  d%d.example:
    inherit: default
    dmarc:
      exceptions: [192.0.2.%d, 2001:db8::%d]
      notify:
        - 'a@d%d.example'`, i, i, i, i), "\n")...)
	}
	return lines
}

// slip is a line that is put into the long file, or replaces one.
type slip struct {
	name string
	at   int // index in long of the line that it comes before; from the end of the file if negative
	text string
	line int    // further down from there; 0 where the slip is the first line of text
	want string // part of what is said
}

// Places in the long file: before a key of a domain entry, of its dmarc section, and
// before another domain.
const (
	atEntry  = 16 + 6*20 + 1 // "    inherit: default"
	atDMARC  = 16 + 6*20 + 3 // "      exceptions: …"
	atNotify = 16 + 6*20 + 5 // "        - …"
	atDomain = 16 + 6*20     // "  d20.example:"
)

func slips() []slip {
	return []slip{
		{"text after a double quote", atDMARC, `      reject_text: "no" thanks`, 0, "text after a closing quote"},
		{"text after a single quote", atDMARC, `      reject_text: 'it's so'`, 0, "text after a closing quote"},
		{"text after a quote in a list", atNotify, `        - "a@b.example" c`, 0, "text after a closing quote"},
		{"text after a quote in brackets", atDMARC, `      senders: ["a.example" b, c.example]`, 0, "text after a closing quote"},
		{"text after a bracket", atDMARC, `      senders: [a.example] b`, 0, "text after a closing bracket"},
		{"tab", atDMARC, "\tcriteria: rfc", 0, "a tab in the indentation"},
		{"tab behind spaces", atDMARC, "    \tcriteria: rfc", 0, "a tab in the indentation"},
		{"no space after a colon", atDMARC, "      criteria:rfc", 0, "a space is missing after the colon"},
		{"no space after a colon, first in its section", atDMARC, "      actions:\n        none:bypass\n        reject: reject", 1, "a space is missing after the colon"},
		{"no space after a colon at the top", 2, "mixed_recipients:separate", 0, "a space is missing after the colon"},
		{"no space after a dash", atNotify + 1, "        -x@y.example", 0, "a space is missing after the -"},
		{"non-breaking space after a colon", atDMARC, "      criteria:\u00a0rfc", 0, "a non-breaking space (U+00A0)"},
		{"non-breaking space in the indentation", atDMARC, "     \u00a0criteria: rfc", 0, "a non-breaking space (U+00A0)"},
		{"wide space in the indentation", atDMARC, "\u3000\u3000criteria: rfc", 0, "a wide space (U+3000)"},
		{"unclosed [", atDMARC, "      senders: [a.example, b.example", 0, "the bracket [ is opened here and not closed"},
		{"unclosed [ over lines", atDMARC, "      senders: [a.example,\n        b.example,", 0, "the bracket [ is opened here and not closed"},
		{"unclosed {", atDMARC, "      actions: {none: bypass", 0, "the bracket { is opened here and not closed"},
		{"unclosed { in a list", atNotify, "        - {domain: a.example", 0, "the bracket { is opened here and not closed"},
		{"unclosed [ in the last line", -1, "tests: [", 0, "the bracket [ is opened here and not closed"},
		{"[ closed by }", atDMARC, "      senders: [a.example}", 0, "} closes a bracket that was opened by another"},
		{"] alone", atDMARC, "      senders: a.example]\n      criteria: ]", 1, "] closes nothing"},
		{"} too many", atDMARC, "      actions: {none: bypass}}", 0, "} closes nothing"},
		{"unclosed double quote", atDMARC, `      reject_text: "no`, 0, "a quote is opened here and not closed"},
		{"unclosed single quote", atDMARC, `      reject_text: 'no`, 0, "a quote is opened here and not closed"},
		{"unclosed quote of a key", atDMARC, `      "criteria: rfc`, 0, "a quote is opened here and not closed"},
		{"unclosed quote in a list", atNotify, `        - "a@b.example`, 0, "a quote is opened here and not closed"},
		{"unclosed quote in the last line", -1, `tests: "`, 0, "a quote is opened here and not closed"},
		{"indented too little", atDMARC, "     criteria: rfc", 0, "wrong indentation: 5 spaces, where the lines below have 6"},
		{"indented too much", atDMARC + 1, "       criteria: rfc", 0, "wrong indentation: 7 spaces, deeper than line 140 with 6 spaces"},
		{"a key between entries", atNotify + 1, "        criteria: rfc", 0, "wrong indentation: a key cannot stand here"},
		{"between two levels", atDomain, "   x.example: {}", 0, "wrong indentation: 3 spaces, where the lines above have 2 or 4"},
		{"an entry indented otherwise", atNotify + 1, "       - b@c.example", 0, "a stray -"},
		{"stray dash", atDMARC, "      -", 0, "a stray -"},
		{"stray dash with a word", atDMARC, "      - criteria: rfc", 0, "a stray -"},
		{"stray dash at the top", atDomain, "- x", 0, "a stray -"},
		{"a list behind its key", atDMARC, "      senders: - a.example", 0, "a list cannot begin behind its key"},
		{"duplicate anchor", atDMARC, "      senders: &std all", 0, "duplicate anchor &std; the first is on line 4"},
		{"unknown alias", atDMARC, "      senders: *some", 0, "there is no anchor &some"},
		{"bare star", atDMARC, "      senders: [*.example.com]", 0, "text that begins with * needs quotes"},
		{"% first", atDMARC, "      tag_subject: %x", 0, "text that begins with % needs quotes"},
		{"% first in a key", atDMARC, "      %x: y", 0, "text that begins with % needs quotes"},
		{"% first in a line", atDomain, "%x: y", 0, "a line cannot begin with %"},
		{"@ first", atDMARC, "      tag_subject: @x", 0, "text that begins with @ needs quotes"},
		{"@ first in a list", atNotify, "        - @example.org", 0, "text that begins with @ needs quotes"},
		{"@ first in brackets", atDMARC, "      senders: [a.example, @b.example]", 0, "text that begins with @ needs quotes"},
		{"backtick first", atDMARC, "      tag_subject: `x`", 0, "text that begins with ` needs quotes"},
		{"comma first", atDMARC, "      , x", 0, "text that begins with , needs quotes"},
		{"two colons", atDMARC, "      reject_text: no: never", 0, "a second colon on this line"},
		{"no colon", atDMARC, "      criteria rfc", 0, "a key without a colon"},
		{"equals sign", atDMARC, "      criteria = rfc", 0, "a key without a colon"},
		{"text behind |", atDMARC, "      reject_text: |no", 0, "begins on the next line"},
		{"unknown escape", atDMARC, `      reject_text: "\d+"`, 0, `\d is no escape`},
		{"short escape", atDMARC, `      reject_text: "\u12"`, 0, "hexadecimal digits"},
		{"a comma missing in braces", atDMARC, "      actions: {none: bypass reject: quarantine}", 0, "a comma is missing"},
		{"a colon more in braces", atDMARC, "      actions: {none: bypass: reject}", 0, "a comma is missing"},
		{"a nested mapping in braces", atDMARC, "      a: {b: {c: d}, e: [f, {g: h}], i: j}\n      k: @", 1, "text that begins with @ needs quotes"},
		{"a line of a tab alone", atDMARC, "\t", 0, "a tab in the indentation"},
		{"& first", atDMARC, "      tag_subject: &x", 0, "the anchor &x stands before nothing"},
		{"quotes of a text processor", atDMARC, "      tag_subject: “x”", 0, "“ is no quote of YAML"},
		{"wide colon", atDMARC, "      tag_subject： x", 0, "a wide colon (U+FF1A)"},
		{"non-breaking space after a dash", atNotify + 1, "        -\u00a0x@y.example", 0, "a non-breaking space (U+00A0)"},
		{"non-breaking space in a value", atDMARC, "      tag_subject: a\u00a0b", 0, "put text that holds it in quotes"},
		{"non-breaking space in a text over lines", atDMARC, "      tag_subject: a b\n        c\u00a0d", 1, "a non-breaking space (U+00A0)"},
		{"space without width in a key", atDMARC, "      \u200bcriteria: rfc", 0, "a space without width (U+200B) stands here; take it out"},
		{"merge conflict", atDMARC, "<<<<<<< HEAD\n      criteria: rfc\n=======\n      criteria: hes\n>>>>>>> other", 0, "the mark of a merge conflict"},
		{"second document", atDomain, "---\nmode: monitor", 0, "a second document begins here"},
		{"not UTF-8", atDMARC, "      tag_subject: f\xfcr", 0, "octet 0xfc is not UTF-8"},
		{"control character", atDMARC, "      tag_subject: \x07", 0, "control character"},
	}
}

// TestSlips puts every slip into a long file, more than a hundred lines down but for
// those that ask for another place, and wants it told within one line, in its words.
func TestSlips(t *testing.T) {
	base := long()
	if root, f := Parse([]byte(strings.Join(base, "\n")+"\n"), 1<<20); f != nil || root == nil {
		t.Fatalf("the file without a slip: %+v", f)
	}
	for _, s := range slips() {
		for _, ending := range []string{"\n", "\r\n"} {
			t.Run(s.name, func(t *testing.T) {
				at := s.at
				if at < 0 {
					at = len(base)
				}
				lines := append(append(append([]string{}, base[:at]...), strings.Split(s.text, "\n")...), base[at:]...)
				_, f := Parse([]byte(strings.Join(lines, ending)+ending), 1<<20)
				if f == nil {
					t.Fatal("it was read")
				}
				want := at + s.line + 1
				if !strings.Contains(f.Problem, s.want) || f.Line < want-1 || f.Line > want+1 {
					t.Errorf("line %d:%d: %s (hint %q), want line %d: %s", f.Line, f.Column, f.Problem, f.Hint, want, s.want)
				}
				if strings.ContainsAny(f.Problem, "\r\n") || f.Column < 1 {
					t.Errorf("%+v is not to be printed", f)
				}
			})
		}
	}
}

// TestShippedFilesWithSlips spoils one line after the other of the shipped files in
// many ways. What is refused is told within one line of content.
func TestShippedFilesWithSlips(t *testing.T) {
	change := func(pattern, with string) func(string) string {
		re := regexp.MustCompile(pattern)
		return func(s string) string {
			at := re.FindStringIndex(s)
			if at == nil {
				return s
			}
			return s[:at[0]] + re.ReplaceAllString(s[at[0]:at[1]], with) + s[at[1]:]
		}
	}
	without := func(last string) func(string) string {
		return func(s string) string {
			if i := strings.LastIndex(s, last); i >= 0 {
				return s[:i] + s[i+1:]
			}
			return s
		}
	}
	spoil := map[string]func(string) string{
		"no space": change(`: `, ":"), "non-breaking space": change(`: `, ":\u00a0"), "text after a quote": change(`"(\s|$)`, `" y`), "tab": change(`^  `, "\t"),
		"one more": change(`^`, " "), "one less": change(`^ `, ""), "two less": change(`^  `, ""), "two more": change(`^`, "  "),
		"no ]": without("]"), "no }": without("}"), "no quote": without("\""), "dash": change(`^( *)`, "$1- "), "@": change(`: \S+`, ": @x"),
		"%": change(`: \S+`, ": %x"), "no colon": change(`:`, ""), "]": change(`$`, "]"), "}": change(`$`, "}"), "quote": change(`: `, ": \""),
		"single quote": change(`: `, ": '"), "[": change(`: `, ": ["), "{": change(`: `, ": {"), "two colons": change(`: `, ": x: "), "comma": change(`: `, ": ,"),
	}
	tried, refused := 0, 0
	for _, name := range []string{"policy", "hosting-provider"} {
		data, err := os.ReadFile("../../configs/" + name + ".yaml")
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
		for i := 0; i < len(lines); i += 2 {
			if blank(lines[i]) {
				continue
			}
			for kind, do := range spoil {
				spoilt := slices.Clone(lines)
				if spoilt[i] = do(lines[i]); spoilt[i] == lines[i] {
					continue
				}
				tried++
				_, f := Parse([]byte(strings.Join(spoilt, "\n")+"\n"), 1<<20)
				if f == nil {
					continue // text, or another value
				}
				refused++
				next := i + 1
				for next < len(lines)-1 && blank(lines[next]) {
					next++
				}
				if f.Line < i || f.Line > i+2 && f.Line != next+1 || strings.HasPrefix(f.Problem, "not YAML") {
					t.Errorf("%s, %s in line %d, %q: told as %d:%d %s", name, kind, i+1, spoilt[i], f.Line, f.Column, f.Problem)
				}
			}
		}
	}
	if tried < 600 || refused < 500 {
		t.Errorf("%d lines spoilt, %d of them refused", tried, refused)
	}
}

func blank(line string) bool {
	line = strings.TrimSpace(line)
	return line == "" || line[0] == '#'
}

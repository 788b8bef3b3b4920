package house

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// glossary is the section that the Japanese README has by itself, at its end.
const glossary = "## 設定名の対照表\n"

// TestREADMEsAgree holds the Japanese README to the English one, as far as a test
// can tell without Japanese: the same sections, each with the same code blocks, the
// same rows in its tables and the same words of code and links.
func TestREADMEsAgree(t *testing.T) {
	english, japanese := readFile(t, "../../README.md"), readFile(t, "../../README.ja.md")
	translated, _, ok := strings.Cut(japanese, glossary)
	if !ok {
		t.Fatalf("README.ja.md has no section %q", glossary)
	}
	ours, theirs := sections(english), sections(translated)
	if len(ours) != len(theirs) {
		t.Fatalf("README.md has %d sections, README.ja.md %d before the glossary", len(ours), len(theirs))
	}
	for i, s := range ours {
		title, _, _ := strings.Cut(s, "\n")
		want, got := partsOf(s), partsOf(theirs[i])
		for _, kind := range []string{"code block", "table rows", "word of code", "link"} {
			if diff := missing(want[kind], got[kind]); diff != "" {
				t.Errorf("section %q: README.ja.md lacks the %s\n%s", title, kind, diff)
			}
			if diff := missing(got[kind], want[kind]); diff != "" {
				t.Errorf("section %q: README.md lacks the %s of README.ja.md\n%s", title, kind, diff)
			}
		}
	}
	if !strings.Contains(english, "(README.ja.md)") || !strings.Contains(japanese, "(README.md)") {
		t.Error("the READMEs do not link to one another")
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// sections parts a text before each heading of the second level.
func sections(text string) []string {
	return strings.Split(text, "\n## ")
}

var (
	codeWord = regexp.MustCompile("`[^`\n]+`")
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
)

// partsOf takes apart what translation leaves alone.
func partsOf(section string) map[string][]string {
	parts := map[string][]string{}
	var block []string
	fenced, rows := false, 0
	flush := func() {
		if len(block) > 0 {
			parts["code block"] = append(parts["code block"], strings.Join(block, "\n"))
			block = nil
		}
	}
	for _, line := range strings.Split(section, "\n") {
		switch {
		case strings.HasPrefix(line, "```"):
			block = append(block, line)
			if fenced = !fenced; !fenced {
				flush()
			}
			continue
		case fenced || strings.HasPrefix(line, "    "):
			block = append(block, line)
			continue
		case strings.HasPrefix(line, "<!-- output: "):
			block = append(block, line) // belongs to the fence below it
			continue
		case strings.HasPrefix(line, "|"):
			rows++
		}
		flush()
		parts["word of code"] = append(parts["word of code"], codeWord.FindAllString(line, -1)...)
		for _, m := range link.FindAllStringSubmatch(line, -1) {
			if !strings.HasPrefix(m[1], "README") {
				parts["link"] = append(parts["link"], m[1])
			}
		}
	}
	flush()
	parts["table rows"] = []string{fmt.Sprint(rows)}
	return parts
}

// missing gives what of want is not in got. The order counts for nothing: it
// changes with the language.
func missing(want, got []string) string {
	got = slices.Clone(got)
	var out []string
	for _, w := range want {
		if i := slices.Index(got, w); i >= 0 {
			got = slices.Delete(got, i, i+1)
		} else {
			out = append(out, w)
		}
	}
	return strings.Join(out, "\n")
}

// TestGlossaryNamesKeys holds the keys of the glossary to the shipped files.
func TestGlossaryNamesKeys(t *testing.T) {
	_, table, ok := strings.Cut(readFile(t, "../../README.ja.md"), glossary)
	if !ok {
		t.Fatal("no glossary")
	}
	shipped := readFile(t, "../../configs/policy.yaml")
	named := 0
	for _, line := range strings.Split(table, "\n") {
		cells := strings.Split(line, "|")
		if len(cells) != 5 {
			continue
		}
		for _, word := range codeWord.FindAllString(cells[2], -1) {
			named++
			key := strings.Trim(word, "`")
			key = key[strings.LastIndexByte(key, '.')+1:]
			if !regexp.MustCompile(`(?m)(^|[\s{,:])` + regexp.QuoteMeta(key) + `\b`).MatchString(shipped) {
				t.Errorf("%s is no key and no word of configs/policy.yaml", word)
			}
		}
	}
	if named < 20 {
		t.Errorf("the glossary names %d keys", named)
	}
}

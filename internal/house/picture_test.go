package house

import (
	"maps"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestPicture holds the picture of the rooms in docs/architecture.md to the ranks.
func TestPicture(t *testing.T) {
	text, err := os.ReadFile("../../docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	drawn, rank := map[string]int{"house": 0}, 0
	for _, line := range regexp.MustCompile(`(?m)^    ([0-9 ]) │ (.+)$`).FindAllStringSubmatch(string(text), -1) {
		if line[1] != " " {
			if rank, err = strconv.Atoi(line[1]); err != nil {
				t.Fatal(err)
			}
		}
		for _, name := range strings.Fields(line[2]) {
			drawn[name] = rank
		}
	}
	if !maps.Equal(drawn, ranks) {
		t.Errorf("docs/architecture.md draws\n%v\nthe ranks are\n%v", drawn, ranks)
	}
}

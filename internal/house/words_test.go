package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// plainWords maps words that names had here once to the field's terms. A name is split
// where its capitals are: "openShelf" has the words open and shelf.
var plainWords = map[string]string{
	"door": "listener", "desk": "service", "shelf": "segment index", "keeper": "what it is", "stretch": "range",
	"tally": "aggregate", "tallies": "aggregates", "strike": "suppression", "strikes": "suppressions",
	"teller": "explainer", "fate": "disposition", "parted": "split", "impersonal": "redacted", "amiss": "wrong",
	"roomy": "large", "unharmed": "intact", "truth": "bool", "meeting": "prediction", "meetings": "predictions",
	"folk": "people", "careless": "lenient", "fates": "dispositions", "story": "explanation", "stories": "explanations",
	"finding": "match or result", "findings": "matches or results", "said": "logged or output", "station": "hop",
	"behind": "after",
}

// plainNames are names with such a word that are plain all the same.
var plainNames = map[string]bool{"fallingBehind": true}

var capitals = regexp.MustCompile(`[A-Z]+[a-z0-9]*|[a-z0-9]+`)

// TestPlainWords keeps those words from coming back as names, also in tests and e2e.
func TestPlainWords(t *testing.T) {
	for _, root := range []string{"..", "../../cmd", "../../e2e"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
				return err
			}
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, path, nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if id, ok := n.(*ast.Ident); ok && !plainNames[id.Name] {
					for _, word := range capitals.FindAllString(id.Name, -1) {
						if term, old := plainWords[strings.ToLower(word)]; old {
							t.Errorf("%s: %s: the term is %q", fset.Position(id.Pos()), id.Name, term)
						}
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

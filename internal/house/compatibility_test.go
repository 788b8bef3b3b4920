package house

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// compatibility is the page that promises a test for what it says.
const compatibility = "../../docs/compatibility.md"

// TestCompatibilityNamesTests holds every row of the page to tests that exist, or
// to saying why there is none.
func TestCompatibilityNamesTests(t *testing.T) {
	packages := map[string]*tests{}
	rows, named := 0, 0
	for n, line := range strings.Split(readFile(t, compatibility), "\n") {
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if !strings.HasPrefix(line, "| ") || cells[0] == "there" || cells[0] == "behaviour" {
			continue
		}
		rows++
		if len(cells) != 3 {
			t.Errorf("line %d has %d cells, want 3", n+1, len(cells))
			continue
		}
		held := cells[2]
		pinned := regexp.MustCompile(`^[1-8]\. `).MatchString(cells[0])
		if held == "not yet" || strings.HasPrefix(held, "none: ") {
			if pinned {
				t.Errorf("line %d: %q needs a test through the milter socket", n+1, cells[0])
			}
			continue
		}
		words := codeWord.FindAllString(held, -1)
		if strings.Join(words, ", ") != held {
			t.Errorf("line %d: want tests, \"not yet\" or \"none: why\", found %q", n+1, held)
		}
		for _, w := range words {
			named++
			name := strings.Trim(w, "`")
			if err := find(packages, name); err != nil {
				t.Errorf("line %d: %s: %v", n+1, name, err)
			}
			if pinned && !strings.HasPrefix(name, "inbound.") {
				t.Errorf("line %d: %s is not a test through the milter socket", n+1, name)
			}
		}
	}
	if rows < 100 || named < 100 {
		t.Errorf("%d rows with %d tests: the tables were not read", rows, named)
	}
}

// tests are those of one folder.
type tests struct {
	functions map[string]string // each with its file
	literals  map[string]map[string]bool
	data      map[string]bool // files of testdata, without what follows the last dot
}

// find looks a test up, named as FOLDER.FUNCTION or FOLDER.FUNCTION/CASE: a case is
// a string in the file of the function, or a file below testdata.
func find(packages map[string]*tests, name string) error {
	folder, rest, ok := strings.Cut(name, ".")
	if !ok {
		return errors.New("not of the form FOLDER.FUNCTION")
	}
	function, aCase, _ := strings.Cut(rest, "/")
	p, ok := packages[folder]
	if !ok {
		var err error
		if p, err = readTests(folder); err != nil {
			return err
		}
		packages[folder] = p
	}
	file, ok := p.functions[function]
	if !ok {
		return errors.New("there is no such test")
	}
	if aCase != "" && !p.literals[file][aCase] && !p.data[aCase] {
		return fmt.Errorf("there is no case %q in %s", aCase, file)
	}
	return nil
}

// readTests reads the sources: the go command would be answered from its cache.
func readTests(folder string) (*tests, error) {
	dir := filepath.Join("..", folder)
	if strings.HasPrefix(folder, "cmd/") || folder == "e2e" {
		dir = filepath.Join("..", "..", folder)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no tests in %s", dir)
	}
	p := &tests{functions: map[string]string{}, literals: map[string]map[string]bool{}, data: map[string]bool{}}
	for _, path := range files {
		if err := p.read(path); err != nil {
			return nil, err
		}
	}
	err = filepath.WalkDir(filepath.Join(dir, "testdata"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			p.data[strings.TrimSuffix(d.Name(), filepath.Ext(d.Name()))] = true
		}
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	return p, nil
}

func (p *tests) read(path string) error {
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
	if err != nil {
		return err
	}
	for _, d := range f.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil {
			p.functions[fn.Name.Name] = path
		}
	}
	p.literals[path] = map[string]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if s, err := strconv.Unquote(lit.Value); err == nil {
				p.literals[path][s] = true
			}
		}
		return true
	})
	return nil
}

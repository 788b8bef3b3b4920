package memory_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dmarcd/internal/memory"
	"dmarcd/internal/memory/memorytest"
)

// leftOut are the fields that are not remembered, and why.
var leftOut = map[string]string{
	"Verdict.SPF.Personal":      "names made of the sender's local part, which a record does not hold",
	"Verdict.SPF.Personal.Name": "likewise",
	"Verdict.SPF.Personal.Spec": "likewise",
}

// TestNoFieldIsForgotten encodes records with every field set and reads them back: a
// field that is new must be encoded, or named above.
func TestNoFieldIsForgotten(t *testing.T) {
	unused := map[string]bool{}
	for field := range leftOut {
		unused[field] = true
	}
	for seed := range uint64(20) {
		r, err := memorytest.NewFiller(seed).Record()
		if err != nil {
			t.Fatal(err)
		}
		b, err := r.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := memory.DecodeRecord(b)
		if err != nil {
			t.Fatal(err)
		}
		for _, field := range memorytest.Missing(memorytest.Dump(r), memorytest.Dump(got)) {
			delete(unused, field)
			if leftOut[field] == "" {
				t.Errorf("seed %d: Record.%s is not remembered: encode it (see memory.Version), or name it in leftOut with the reason", seed, field)
			}
		}
		if more := memorytest.Missing(memorytest.Dump(got), memorytest.Dump(r)); len(more) > 0 {
			t.Errorf("seed %d: read back otherwise: %q", seed, more)
		}
	}
	for field := range unused {
		t.Errorf("leftOut names %s, which is remembered or no longer there", field)
	}
}

// TestNoAggregateFieldIsForgotten is the same test for aggregates and traces.
func TestNoAggregateFieldIsForgotten(t *testing.T) {
	for seed := range uint64(20) {
		var aggregate memory.Aggregate
		var trace memory.Trace
		for _, p := range []any{&aggregate, &trace} {
			if err := memorytest.NewFiller(seed).Fill(p); err != nil {
				t.Fatal(err)
			}
		}
		got, err := memory.DecodeAggregate(aggregate.AppendBinary(nil))
		if err != nil || got != aggregate {
			t.Errorf("seed %d: aggregate %+v, want %+v (%v)", seed, got, aggregate, err)
		}
		b, err := trace.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		read, err := memory.DecodeTrace(b)
		if err != nil {
			t.Fatal(err)
		}
		want, have := memorytest.Dump(&memory.Record{Trace: &trace}), memorytest.Dump(&memory.Record{Trace: read})
		if !slices.Equal(want, have) {
			t.Errorf("seed %d: trace\n%s\nwant\n%s", seed, strings.Join(have, "\n"), strings.Join(want, "\n"))
		}
	}
}

// notCauses are errors that no result carries.
var notCauses = map[string]string{}

// TestNoCauseIsForgotten holds every sentinel error of the packages whose results are
// remembered to keep its identity.
func TestNoCauseIsForgotten(t *testing.T) {
	known := string(must(os.ReadFile("words.go")))
	for _, pkg := range []string{"dkim", "spf", "arc", "dmarc"} {
		files, err := filepath.Glob("../auth/" + pkg + "/*.go")
		if err != nil || len(files) == 0 {
			t.Fatal(files, err)
		}
		for _, path := range files {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range sentinels(f) {
				if full := pkg + "." + name; !strings.Contains(known, full+",") && notCauses[full] == "" {
					t.Errorf("%s is not in causes(): append it there, or name it in notCauses with the reason", full)
				}
			}
		}
	}
}

// sentinels are the exported variables ErrX at the top of a file.
func sentinels(f *ast.File) (names []string) {
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.VAR {
			continue
		}
		for _, spec := range g.Specs {
			for _, name := range spec.(*ast.ValueSpec).Names {
				if strings.HasPrefix(name.Name, "Err") {
					names = append(names, name.Name)
				}
			}
		}
	}
	return names
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

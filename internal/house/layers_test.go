package house

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// ranks gives each package below internal/ its layer. A package imports only
// packages of a lower rank. Test helpers ("…test") take the rank that their
// imports need and are imported by tests only.
var ranks = map[string]int{
	"house":   0,
	"dns":     0,
	"text":    0,
	"errkind": 0,
	"yamldoc": 0,

	"message": 1,

	"auth/spf":     2,
	"auth/dkim":    2,
	"auth/arc":     2,
	"auth/dmarc":   2,
	"auth/authres": 2,
	"milter":       2,
	"report":       2,

	"policy": 3,

	"report/destination": 3,
	"report/source":      3,
	"account":            4,
	"memory":             4,

	"settings": 4,

	"explain":   5,
	"opendmarc": 5,
	"filter":    5,
	"notify":    5,
	"simulate":  5,

	"report/analysis": 5,
	"report/outgoing": 5,

	"demo": 6,

	"api":      6,
	"journal":  6,
	"resolver": 6,
	"mailer":   6,
	"spool":    6,
	"store":    6,

	"admin":   7,
	"console": 7,
	"inbound": 7,
	"metrics": 7,

	"probe": 7,

	"report/intake": 7,

	"daemon":  8,
	"present": 8,

	"client":    9,
	"mta":       9,
	"demo/fill": 8,
}

// alongside are the imports within one rank: arc verifies with the primitives of dkim.
var alongside = map[string]string{"auth/arc": "auth/dkim"}

// helpers are imported by tests only.
var helpers = map[string]bool{
	"account/accounttest":          true,
	"auth/arc/arctest":             true,
	"auth/spf/spftest":             true,
	"dns/dnstest":                  true,
	"memory/memorytest":            true,
	"report/analysis/analysistest": true,
	"report/intake/intaketest":     true,
	"milter/miltertest":            true,
}

// TestLayers reads the sources itself: a test that asks the go command is
// answered from the test cache and misses changes.
func TestLayers(t *testing.T) {
	const module = "dmarcd/internal/"
	for path, imports := range sources(t, "..") {
		pkg := filepath.ToSlash(filepath.Dir(path))
		if helpers[pkg] {
			continue
		}
		rank, ok := ranks[pkg]
		if !ok {
			t.Errorf("%s: package %q has no rank; give it one in this test", path, pkg)
			continue
		}
		for _, imp := range imports {
			dep, ours := strings.CutPrefix(imp, module)
			if !ours {
				continue
			}
			if helpers[dep] {
				t.Errorf("%s imports the test helper %s", path, dep)
			} else if ranks[dep] >= rank && alongside[pkg] != dep {
				t.Errorf("%s (rank %d) imports %s (rank %d); imports must point downwards", path, rank, dep, ranks[dep])
			}
		}
	}
}

// TestSingleImporters holds libraries to the packages that wrap them.
func TestSingleImporters(t *testing.T) {
	wrapped := map[string]string{
		"github.com/emersion/go-milter":           "milter",
		"github.com/emersion/go-imap/v2":          "report/intake",
		"gopkg.in/yaml.v3":                        "settings yamldoc",
		"github.com/miekg/dns":                    "resolver",
		"github.com/oschwald/maxminddb-golang/v2": "report/source",
		"database/sql":                            "store",
		"modernc.org/sqlite":                      "store",
		"modernc.org/sqlite/lib":                  "store",
		"github.com/jackc/pgx/v5":                 "store",
		"github.com/jackc/pgx/v5/pgconn":          "store",
		"github.com/jackc/pgx/v5/stdlib":          "store",
	}
	for path, imports := range sources(t, "..") {
		pkg := filepath.ToSlash(filepath.Dir(path))
		for _, imp := range imports {
			if owner, ok := wrapped[imp]; ok && !slices.Contains(strings.Fields(owner), pkg) && !helpers[pkg] {
				t.Errorf("%s imports %s; only %s does", path, imp, owner)
			}
		}
	}
}

// sources maps each Go file below root that is no test to its imports; paths
// are relative to root.
func sources(t *testing.T, root string) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		out[rel] = []string{}
		for _, s := range f.Imports {
			imp, err := strconv.Unquote(s.Path.Value)
			if err != nil {
				return err
			}
			out[rel] = append(out[rel], imp)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) == 0 {
		t.Fatal("no sources found")
	}
	return out
}

package settings

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"dmarcd/internal/yamldoc"
)

// seedFiles adds the test files of one kind and the shipped one to a corpus.
func seedFiles(f *testing.F, dir, shipped string) {
	f.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", dir, "*.yaml"))
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range append(files, filepath.Join("..", "..", "configs", shipped)) {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
}

// readDaemon reads the text of a dmarcd.yaml alone.
func readDaemon(data []byte) (*Settings, Faults) {
	s := Default(testHost)
	d := newDecoder("dmarcd.yaml", "")
	if root, ok := d.parse(data); ok {
		d.daemon(root, s)
	}
	d.warnings.all()
	return s, d.faults.all()
}

// FuzzDaemonFile reads any text; what loads is shown and loads again to the same.
func FuzzDaemonFile(f *testing.F) {
	seedFiles(f, "daemon", daemonFile)
	f.Fuzz(tryDaemon)
}

func tryDaemon(t *testing.T, data []byte) {
	s, faults := readDaemon(data)
	if len(faults) > 0 {
		checkFaults(t, faults)
		return
	}
	var shown bytes.Buffer
	if err := s.Show(&shown); err != nil {
		t.Fatal(err)
	}
	again, faults := readDaemon(shown.Bytes())
	if len(faults) > 0 {
		t.Fatalf("what is shown does not load: %v\n%s", faults, &shown)
	}
	if !reflect.DeepEqual(unplaced(again), unplaced(s)) || again.PolicyFile != s.PolicyFile {
		t.Errorf("got  %+v\nwant %+v\n%s", again, s, &shown)
	}
}

// FuzzPolicyFile is the same for policy.yaml.
func FuzzPolicyFile(f *testing.F) {
	seedFiles(f, "policy", policyFile)
	f.Fuzz(tryPolicy)
}

func tryPolicy(t *testing.T, data []byte) {
	p, _, err := ParsePolicy("policy.yaml", "", data)
	if err != nil {
		checkFaults(t, err.(Faults))
		return
	}
	var shown bytes.Buffer
	if err := p.Show(&shown); err != nil {
		t.Fatal(err)
	}
	again, _, err := ParsePolicy("shown.yaml", "", shown.Bytes())
	if err != nil {
		t.Fatalf("what is shown does not load: %v\n%s", err, &shown)
	}
	if !reflect.DeepEqual(unplacedPolicy(again), unplacedPolicy(p)) {
		t.Errorf("got  %+v\nwant %+v\n%s", again, p, &shown)
	}
}

// TestOddValues puts odd values in the place of every key, value and list of the
// full files, one at a time: what loads is shown and loads again to the same.
func TestOddValues(t *testing.T) {
	daemon, rules := daemonSchema(), policySchema()
	t.Run("daemon", func(t *testing.T) {
		oddValues(t, "daemon", func(root *yaml.Node) (Faults, *yaml.Node) {
			s, d := Default(testHost), newDecoder("", "")
			into(d, daemon, root, s)
			return d.faults.all(), daemon.show(*s)
		})
	})
	t.Run("policy", func(t *testing.T) {
		oddValues(t, "policy", func(root *yaml.Node) (Faults, *yaml.Node) {
			p, d := policyDraft{Policy: *defaultPolicy()}, newDecoder("", "")
			into(d, rules, root, &p)
			return d.faults.all(), rules.show(p.finish().draft())
		})
	})
}

func oddValues(t *testing.T, dir string, load func(root *yaml.Node) (Faults, *yaml.Node)) {
	odd := []*yaml.Node{
		quoted(""), quoted("a\nb\u202e"), literal("~"), quoted("*"), plain("99999999999999999999"),
		quoted("file:x"), quoted("::1"), quoted(strings.Repeat("x", 5000)), mapping(), {Kind: yaml.SequenceNode},
		{Kind: yaml.ScalarNode, Tag: "!odd", Value: "x", Style: yaml.TaggedStyle},
	}
	data, err := os.ReadFile(filepath.Join("testdata", dir, "full.good.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	root, fault := yamldoc.Parse(data, maxValues)
	if fault != nil {
		t.Fatal(fault)
	}
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		for i, old := range n.Content {
			for _, n.Content[i] = range odd {
				faults, shown := load(root)
				if len(faults) > 0 {
					checkFaults(t, faults)
					continue
				}
				if faults, again := load(shown); len(faults) > 0 || !sameNodes(again, shown) {
					t.Errorf("%q in the place of %q: what is shown does not load to the same: %v", n.Content[i].Value, old.Value, faults)
				}
			}
			n.Content[i] = old
			walk(old)
		}
	}
	walk(root)
}

// checkFaults wants each fault on one line that can be printed.
func checkFaults(t *testing.T, faults Faults) {
	t.Helper()
	for _, f := range faults {
		if _, err := oneLine(f.String(), 1<<20); err != nil || f.Problem == "" {
			t.Errorf("fault %q: %v", f.String(), err)
		}
	}
}

package settings

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"testing"
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
	f.Fuzz(func(t *testing.T, data []byte) {
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
	})
}

// FuzzPolicyFile is the same for policy.yaml.
func FuzzPolicyFile(f *testing.F) {
	seedFiles(f, "policy", policyFile)
	f.Fuzz(func(t *testing.T, data []byte) {
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
	})
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

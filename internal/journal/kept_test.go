package journal

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dmarcd/internal/memory"
	"dmarcd/internal/memory/memorytest"
)

// TestJournalsOfEarlierBuilds loads journals that an earlier build left: one
// whose oldest part it had compacted, and one that it had loaded in part when it was
// killed. The files never change.
func TestJournalsOfEarlierBuilds(t *testing.T) {
	for _, build := range []string{"8f6c5f3"} {
		for _, name := range []string{"compacted", "part"} {
			t.Run(build+" "+name, func(t *testing.T) {
				want := string(unzipped(t, build, name+".txt"))
				s := newStore()
				if name == "part" {
					var id string
					var at memory.Position
					first, backOff, _ := strings.Cut(want, "\n")
					if _, err := fmt.Sscanf(first, "position %s %d %d", &id, &at.Segment, &at.Offset); err != nil {
						t.Fatal(err)
					}
					want, s.position[id] = backOff, at
				}
				dir := t.TempDir()
				unpack(t, build, name, dir)
				j := open(t, dir, s, nil)
				syncNow(t, j)
				if got := told(s); got != want {
					t.Errorf("got\n%s\nwant\n%s", got, want)
				}
				if len(s.problems) > 0 || j.Stats().Lost != (Lost{}) {
					t.Errorf("%q, %+v", s.problems, j.Stats().Lost)
				}
			})
		}
	}
}

// told is what was loaded.
func told(s *store) string {
	var b strings.Builder
	for n := range 1000 {
		if times := s.records[fmt.Sprint(n)]; times > 0 {
			fmt.Fprintf(&b, "record %d %d times\n", n, times)
		}
	}
	var lines []string
	for _, aggregate := range s.aggregates {
		lines = append(lines, "tally "+strings.Join(memorytest.DumpAggregate(&aggregate), ", ")+"\n")
	}
	slices.Sort(lines)
	fmt.Fprintf(&b, "%slost %d\n", strings.Join(lines, ""), s.lost)
	return b.String()
}

func openGzip(t *testing.T, build, name string) io.Reader {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", build, name+".gz"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func unzipped(t *testing.T, build, name string) []byte {
	t.Helper()
	b, err := io.ReadAll(openGzip(t, build, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// unpack puts the files of a journal into dir.
func unpack(t *testing.T, build, name, dir string) {
	t.Helper()
	for r := tar.NewReader(openGzip(t, build, name+".tar")); ; {
		head, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(head.Name)), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

package memory_test

import (
	"compress/gzip"
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dmarcd/internal/memory"
	"dmarcd/internal/memory/memorytest"
)

// TestRecordsOfEarlierBuilds reads the records that an earlier build wrote, and
// compares them with what that build itself read back, and with what it counted them
// as. The files never change; records.bin holds each record after its length.
func TestRecordsOfEarlierBuilds(t *testing.T) {
	for _, build := range []string{"8f6c5f3"} {
		t.Run(build, func(t *testing.T) {
			raw := unzipped(t, build, "records.bin")
			want := strings.SplitAfter(string(unzipped(t, build, "records.txt")), "record\n")[1:]
			n := 0
			for ; len(raw) > 0; n++ {
				length, head := binary.Uvarint(raw)
				r, err := memory.DecodeRecord(raw[head : head+int(length)])
				if err != nil {
					t.Fatalf("record %d: %v", n, err)
				}
				raw = raw[head+int(length):]
				if got, want := told(r), strings.TrimSuffix(want[n], "record\n"); got != want {
					t.Fatalf("record %d:\n got\n%s\nwant\n%s", n, got, want)
				}
			}
			if n != len(want) || n < 100 {
				t.Errorf("%d records, want %d", n, len(want))
			}
		})
	}
}

// told is a record and its aggregate.
func told(r *memory.Record) string {
	var b strings.Builder
	for _, line := range memorytest.Dump(r) {
		b.WriteString("  " + line + "\n")
	}
	if aggregate, due := r.Aggregate(); due {
		b.WriteString("tally\n") // as the build of the file called it
		for _, line := range memorytest.DumpAggregate(&aggregate) {
			b.WriteString("  " + line + "\n")
		}
	}
	return b.String()
}

func unzipped(t *testing.T, build, name string) []byte {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", build, name+".gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

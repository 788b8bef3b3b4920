package explain

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"dmarcd/internal/memory"
)

// FuzzStory tells records that anybody may have written: whatever they hold, a
// story is told, and is safe to show.
func FuzzStory(f *testing.F) {
	files, err := filepath.Glob("testdata/*.case")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		b, err := readCase(f, file).run(f).AppendBinary(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := memory.DecodeRecord(b)
		if err != nil {
			return
		}
		s := New(r, Options{})
		var text strings.Builder
		if err := s.WriteText(&text); err != nil {
			t.Fatal(err)
		}
		raw, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if bad := unprintable(text.String() + string(raw)); bad != "" {
			t.Errorf("the story holds %q:\n%s", bad, text.String())
		}
	})
}

package explain

import (
	"path/filepath"
	"testing"

	"dmarcd/internal/memory"
)

// FuzzExplanation explains records that anybody may have written: whatever they
// hold, the text is safe to show.
func FuzzExplanation(f *testing.F) {
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
		for _, language := range Languages() {
			words, raw := written(t, New(r, Options{Language: language}))
			if bad := unprintable(words + raw); bad != "" {
				t.Errorf("the explanation holds %q:\n%s", bad, words)
			}
		}
	})
}

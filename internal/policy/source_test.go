package policy

import "testing"

func TestSourceID(t *testing.T) {
	file := func(name, text string) SourceFile { return SourceFile{Name: name, Text: text} }
	seen := map[SourceID]string{}
	for name, s := range map[string]Source{
		"none": nil, "a file": {file("a", "x")}, "another text": {file("a", "y")}, "another name": {file("b", "x")},
		"two files": {file("a", "x"), file("b", "")}, "text that looks like two files": {file("a", "x1 b 0 ")}, "the other way round": {file("b", ""), file("a", "x")},
	} {
		id := s.ID()
		if before, twice := seen[id]; twice {
			t.Errorf("%s and %s have the same id", name, before)
		}
		seen[id] = name
		if id != s.ID() || (id == SourceID{}) != (len(s) == 0) {
			t.Errorf("%s: %s", name, id)
		}
		var read SourceID
		if b, _ := id.MarshalText(); read.UnmarshalText(b) != nil || read != id {
			t.Errorf("%s is read back as %s", id, read)
		}
	}
	if err := new(SourceID).UnmarshalText([]byte("abc")); err == nil {
		t.Error("a short id is read")
	}
}

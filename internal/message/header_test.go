package message

import "testing"

func TestFieldValue(t *testing.T) {
	cases := []struct{ name, raw, want string }{
		{"plain", "Subject: hello\r\n", " hello\r\n"},
		{"no space", "Subject:hello\r\n", "hello\r\n"},
		{"fold kept", "Subject: a\r\n b\r\n", " a\r\n b\r\n"},
		{"space before the colon", "Subject : hello\r\n", " hello\r\n"},
		{"colon in the value", "Subject: a: b\r\n", " a: b\r\n"},
		{"empty", "Subject:\r\n", "\r\n"},
		{"no colon", "Subject\r\n", "Subject\r\n"},
		{"nothing", "", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			f := Field{Name: "Subject", Raw: []byte(c.raw)}
			if got := string(f.Value()); got != c.want {
				t.Errorf("Value = %q, want %q", got, c.want)
			}
		})
	}
}

func TestHeaderByName(t *testing.T) {
	h := &Header{Fields: []Field{
		{Name: "Received", Raw: []byte("Received: 1\r\n")},
		{Name: "FROM", Raw: []byte("FROM: a\r\n")},
		{Name: "received", Raw: []byte("received: 2\r\n")},
		{Name: "From", Raw: []byte("From: b\r\n")},
	}}
	for name, want := range map[string]int{"Received": 2, "from": 2, "Fro": 0, "Froms": 0, "": 0} {
		if got := h.Count(name); got != want {
			t.Errorf("Count(%q) = %d, want %d", name, got, want)
		}
	}
	if f, ok := h.First("from"); !ok || string(f.Raw) != "FROM: a\r\n" {
		t.Errorf("First(from) = %q, %v", f.Raw, ok)
	}
	if f, ok := h.First("Subject"); ok || f.Raw != nil {
		t.Errorf("First of a missing name = %q, %v", f.Raw, ok)
	}
}

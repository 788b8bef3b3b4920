package settings

import (
	"math"
	"testing"
	"time"
)

func TestMeasure(t *testing.T) {
	cases := []struct {
		in    string
		units []unit
		want  int64 // -1 for a fault
		shown string
	}{
		{"2s", timeUnits, int64(2 * time.Second), "2s"},
		{"1500ms", timeUnits, int64(1500 * time.Millisecond), "1500ms"},
		{"90s", timeUnits, int64(90 * time.Second), "90s"},
		{"1h30m", timeUnits, int64(90 * time.Minute), "90m"},
		{"24h", timeUnits, int64(24 * time.Hour), "1d"},
		{"400d", timeUnits, int64(400 * 24 * time.Hour), "400d"},
		{"0s", timeUnits, 0, "0ms"},
		{"1MiB", sizeUnits, 1 << 20, "1MiB"},
		{"1024KiB", sizeUnits, 1 << 20, "1MiB"},
		{"1000B", sizeUnits, 1000, "1000B"},
		{"", timeUnits, -1, ""},
		{"2", timeUnits, -1, ""},
		{"s", timeUnits, -1, ""},
		{"-2s", timeUnits, -1, ""},
		{"1.5h", timeUnits, -1, ""},
		{"2 s", timeUnits, -1, ""},
		{"1h30", timeUnits, -1, ""},
		{"2S", timeUnits, -1, ""},
		{"1MB", sizeUnits, -1, ""},
		{"99999999999d", timeUnits, -1, ""},
		{"106751d106751d", timeUnits, -1, ""},
		{"99999999999999999999B", sizeUnits, -1, ""},
	}
	for _, c := range cases {
		t.Run(c.in, func(t *testing.T) {
			got, err := measure(c.in, c.units, "s")
			if (err != nil) != (c.want < 0) || err == nil && got != c.want {
				t.Fatalf("measure = %d, %v; want %d", got, err, c.want)
			}
			if err == nil && measured(got, c.units) != c.shown {
				t.Errorf("shown as %s, want %s", measured(got, c.units), c.shown)
			}
		})
	}
	if got := measured(math.MaxInt64, sizeUnits); got != "9223372036854775807B" {
		t.Errorf("the largest size is shown as %s", got)
	}
}

func TestNearest(t *testing.T) {
	words := []string{"listen", "limits", "log", "state_dir", "store", "reject_text"}
	cases := map[string]string{
		"listn": "listen", "lisetn": "listen", "LISTEN": "listen", "state-dir": "state_dir", "statedir": "state_dir",
		"lgo": "log", "reject": "reject_text", "stor": "store", "colour": "", "x": "", "": "",
	}
	for in, want := range cases {
		if got := nearest(in, words); got != want {
			t.Errorf("nearest(%q) = %q, want %q", in, got, want)
		}
	}
}

func TestHostPort(t *testing.T) {
	cases := []struct {
		in       string
		standard int
		want     string // "" for a fault
	}{
		{"127.0.0.1:25", 25, "127.0.0.1:25"},
		{"127.0.0.1", 53, "127.0.0.1:53"},
		{"::1", 53, "[::1]:53"},
		{"[::1]", 53, "[::1]:53"},
		{"[::1]:5353", 53, "[::1]:5353"},
		{"DNS.example", 53, "dns.example:53"},
		{":8894", 0, ":8894"},
		{"127.0.0.1", 0, ""},
		{"localhost:http", 0, ""},
		{"localhost:65536", 0, ""},
		{"a b:25", 25, ""},
		{"a:b:25", 25, ""},
	}
	for _, c := range cases {
		if got, err := parseHostPort(c.in, c.standard); got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("parseHostPort(%q, %d) = %q, %v; want %q", c.in, c.standard, got, err, c.want)
		}
	}
}

func TestLoopback(t *testing.T) {
	for in, want := range map[string]bool{
		"127.0.0.1:1": true, "127.9.9.9:1": true, "[::1]:1": true, "localhost:1": true,
		":1": false, "0.0.0.0:1": false, "[::]:1": false, "192.0.2.1:1": false, "localhost.example.org:1": false,
	} {
		if got := isLoopback(in); got != want {
			t.Errorf("isLoopback(%s) = %v", in, got)
		}
	}
}

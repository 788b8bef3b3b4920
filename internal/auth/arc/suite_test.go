package arc_test

import (
	"testing"

	"dmarcd/internal/auth/arc"
	"dmarcd/internal/auth/arc/arctest"
	"dmarcd/internal/dns"
	"dmarcd/internal/dns/dnstest"
)

// suiteSize is how many cases the published suite has. A loader that drops some
// would otherwise pass.
const suiteSize = 175

// TestSuite runs the published ARC validation suite whole.
func TestSuite(t *testing.T) {
	path, err := arctest.Find()
	if err != nil {
		t.Skip(err)
	}
	cases, err := arctest.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) != suiteSize {
		t.Errorf("%d cases, want %d", len(cases), suiteSize)
	}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			zone := dnstest.MustZone("")
			for name, text := range c.TXT {
				zone.AddTXT(dns.MustParse(name), chunks(text)...)
			}
			want := arc.Status(c.Status())
			for _, step := range []int{1 << 20, 1} {
				if got := validate(t, zone, string(c.Message), step, arc.Options{Now: testNow}); got.Status != want {
					t.Errorf("%s: in pieces of %d: %s (%v), want %s", c.Description, step, got.Status, got.Err, want)
				}
			}
		})
	}
}

package store

import (
	"fmt"
	"slices"
	"testing"

	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/report/outgoing"
)

// A policy domain that cannot be read costs its own report, not that of others.
func TestUnreadableDomainHidesNoOther(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		s := db.open(t)
		day := memory.DayOf(epoch0)
		batch := next("a", memory.Position{}, nil)
		for i := range 6 {
			batch.Tallies = append(batch.Tallies, memory.Tally{
				Day: day, PolicyDomain: dns.MustParse(fmt.Sprintf("d%d.example", i)), Record: "v=DMARC1", Row: "row", Count: 1,
			})
		}
		if err := s.Load(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
		rawChange(t, s, `UPDATE tallies SET policy_domain = 'd1..example' WHERE policy_domain = 'd1.example'`)
		rawChange(t, s, `UPDATE tallies SET policy_domain = 'd5..example' WHERE policy_domain = 'd5.example'`)
		var got []string
		var after dns.Name
		for {
			page, err := s.Reports().Domains(t.Context(), outgoing.Day(day), after, 2)
			if err != nil {
				t.Fatal(err)
			}
			for _, d := range page {
				after = d.Domain
				got = append(got, d.Domain.String())
			}
			if len(page) < 2 {
				break
			}
		}
		if want := []string{"d0.example", "d2.example", "d3.example", "d4.example"}; !slices.Equal(got, want) {
			t.Errorf("domains %q, want %q", got, want)
		}
		if n := s.Undecodable(); n != 2 {
			t.Errorf("%d counted", n)
		}
	})
}

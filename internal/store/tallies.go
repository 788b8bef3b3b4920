package store

import (
	"context"
	"math"

	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
)

// DomainTotal is what one day's tallies of a policy domain add up to.
type DomainTotal struct {
	Domain   dns.Name
	Rows     int64 // tallies that differ
	Messages int64
	Failed   int64 // of Messages: without an aligned pass
}

// PolicyDomains gives the policy domains that have tallies of a day, in the order
// of their names.
func (s *Store) PolicyDomains(ctx context.Context, day int64) ([]DomainTotal, error) {
	var out []DomainTotal
	err := s.read(ctx, "policy domains", func(ctx context.Context, t *tx) error {
		out = nil
		return t.rows(ctx, func(scan func(...any) error) error {
			var total DomainTotal
			var name string
			if err := scan(&name, &total.Rows, &total.Messages, &total.Failed); err != nil {
				return err
			}
			var err error
			if total.Domain, err = dns.ParseQuery(name); err != nil {
				s.undecodable.Add(1)
				return nil
			}
			out = append(out, total)
			return nil
		}, `SELECT policy_domain, count(*), CAST(sum(messages) AS BIGINT), CAST(sum(CASE failed WHEN 1 THEN messages ELSE 0 END) AS BIGINT)
			FROM tallies WHERE day = $1 GROUP BY policy_domain ORDER BY policy_domain`, bounded(day))
	})
	return out, err
}

// TallyDays gives the days that have tallies, oldest first.
func (s *Store) TallyDays(ctx context.Context) ([]int64, error) {
	var days []int64
	err := s.read(ctx, "days with tallies", func(ctx context.Context, t *tx) error {
		days = nil
		// From one day to the next by the index: there may be millions of rows.
		for after := int64(math.MinInt32); ; {
			next, err := t.keys(ctx, `SELECT day FROM tallies WHERE day > $1 ORDER BY day LIMIT 1`, after)
			if err != nil || len(next) == 0 {
				return err
			}
			after = next[0]
			days = append(days, after)
		}
	})
	return days, err
}

// tallyPlace is the key of a row of one day and domain.
type tallyPlace struct{ record, row, psl, failed int64 }

// Tallies gives a domain's tallies of a day to yield, which may keep them; an error
// of yield ends it and is returned. They come in an order that does not change:
// those of one record together. No transaction is open while yield works, so a
// day that is still being loaded may gain counts behind the place reached.
func (s *Store) Tallies(ctx context.Context, day int64, domain dns.Name, yield func(*memory.Tally) error) error {
	at := tallyPlace{record: math.MinInt64}
	for {
		page, next, err := s.tallyPage(ctx, day, domain, at)
		if err != nil {
			return err
		}
		for i := range page {
			if err := yield(&page[i]); err != nil {
				return err
			}
		}
		if len(page) < pageRows {
			return nil
		}
		at = next
	}
}

func (s *Store) tallyPage(ctx context.Context, day int64, domain dns.Name, after tallyPlace) (page []memory.Tally, last tallyPlace, err error) {
	err = s.read(ctx, "tallies", func(ctx context.Context, t *tx) error {
		page, last = nil, after
		return t.rows(ctx, func(scan func(...any) error) error {
			tally := memory.Tally{Day: day, PolicyDomain: domain}
			var record, row []byte
			if err := scan(&last.record, &last.row, &last.psl, &last.failed, &tally.Count, &tally.Last, &record, &row); err != nil {
				return err
			}
			tally.Record, tally.Row = string(record), string(row)
			tally.PSL, tally.Failed = last.psl == 1, last.failed == 1
			page = append(page, tally)
			return nil
		}, `SELECT y.record_id, y.row_id, y.psl, y.failed, y.messages, y.last, a.body, b.body
			FROM tallies y JOIN texts a ON a.id = y.record_id JOIN texts b ON b.id = y.row_id
			WHERE y.day = $1 AND y.policy_domain = $2 AND (y.record_id, y.row_id, y.psl, y.failed) > ($3, $4, $5, $6)
			ORDER BY y.record_id, y.row_id, y.psl, y.failed LIMIT $7`,
			bounded(day), domain.String(), after.record, after.row, after.psl, after.failed, pageRows)
	})
	return page, last, err
}

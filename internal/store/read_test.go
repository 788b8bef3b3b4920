package store

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
	"dmarcd/internal/policy"
)

func TestFind(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		s := db.open(t)
		records := newTraffic(1, 50).batch(300, epoch0, 72*time.Hour)
		records[250].QueueID = records[10].QueueID // used again, days later
		records[200].MessageID = records[10].QueueID
		traced := slices.IndexFunc(records, func(r memory.Record) bool { return r.Trace != nil })
		load(t, s, "a", records)
		for name, c := range map[string]struct {
			id    string
			limit int
			want  []int
		}{
			"queue id and message-id, newest first": {records[10].QueueID, 10, []int{250, 200, 10}},
			"as many as asked for":                  {records[10].QueueID, 2, []int{250, 200}},
			"with brackets":                         {" <" + records[20].MessageID + "> ", 0, []int{20}},
			"without":                               {records[20].MessageID, 0, []int{20}},
			"with its trace":                        {records[traced].QueueID, 0, []int{traced}},
			"part of an id":                         {records[20].MessageID[1:], 0, nil},
			"nothing":                               {"", 5, nil},
		} {
			got, err := s.Find(t.Context(), c.id, c.limit)
			if err != nil || len(got) != len(c.want) {
				t.Errorf("%s: %d found, %v", name, len(got), err)
				continue
			}
			for i, n := range c.want {
				if !same(t, &got[i], &records[n]) {
					t.Errorf("%s: number %d is another, or has another trace", name, i)
				}
			}
		}
	})
}

// meets reports whether a record matches q.
func meets(q memory.Query, r *memory.Record) bool {
	domains := domainsOf(r)
	forOne := q.Recipients == nil || slices.ContainsFunc(q.Recipients, func(d dns.Name) bool { return domains[d.String()]&roleRecipient != 0 })
	result := q.Result
	if result == "-" {
		result = ""
	}
	role := func(name dns.Name, role int64) bool { return name.IsZero() || domains[name.String()]&role != 0 }
	held := !q.Held || r.Hold != "" && (q.Host == "" || r.Host == "" || r.Host == q.Host)
	return forOne && role(q.From, roleAuthor) && role(q.Rcpt, roleRecipient) && held && (q.QueueID == "" || q.QueueID == r.QueueID) && (q.MessageID == "" || q.MessageID == r.MessageID) &&
		(q.Domain.IsZero() || domains[q.Domain.String()] != 0) && (!q.Client.IsValid() || q.Client.Contains(r.ClientIP.Unmap())) &&
		(q.Action == "" || q.Action == string(r.Decision.Action)) && (q.Result == "" || result == string(r.Verdict.DMARC.Status)) &&
		(q.Since.IsZero() || !r.At.Before(q.Since)) && (q.Until.IsZero() || r.At.Before(q.Until))
}

func TestSearch(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		s, d := db.open(t), newTraffic(2, 30)
		records := d.batch(2000, epoch0, 96*time.Hour)
		for i := range records {
			switch i % 40 {
			case 0:
				records[i].ClientIP = netip.MustParseAddr("2001:db8:1::25")
			case 1:
				records[i].ClientIP = netip.Addr{}
			case 2:
				records[i].Verdict.DMARC.Status = ""
			case 3:
				records[i].ClientIP = netip.MustParseAddr("::ffff:192.0.3.9")
			case 4:
				records[i].Outcomes[0].Domains = append(records[i].Outcomes[0].Domains, d.ours[1], records[i].EnvelopeFrom)
			case 5, 6, 7:
				records[i].Hold, records[i].Host = "DMARC", []string{"mx1", "mx2", ""}[i%40-5]
			case 8:
				records[i].EnvelopeFrom = d.domains[9]
			case 9:
				records[i].EnvelopeFrom = d.domains[2]
			}
		}
		for chunk := range slices.Chunk(records, 500) {
			load(t, s, "a", chunk)
		}
		net := func(p string) netip.Prefix { return netip.MustParsePrefix(p) }
		sender, ours := d.domains[2], d.ours[1]
		day2 := epoch0.Add(30 * time.Hour)
		for name, q := range map[string]memory.Query{
			"all":                   {},
			"since":                 {Since: day2},
			"until":                 {Until: day2},
			"queue id":              {QueueID: records[700].QueueID},
			"message-id":            {MessageID: records[700].MessageID},
			"both, of one":          {QueueID: records[700].QueueID, MessageID: records[700].MessageID},
			"both, of two":          {QueueID: records[700].QueueID, MessageID: records[701].MessageID},
			"sender":                {Domain: sender},
			"ours":                  {Domain: ours},
			"ours and rejected":     {Domain: ours, Action: "reject"},
			"ours and failed":       {Domain: ours, Result: "fail", Since: day2},
			"ours, not evaluated":   {Domain: ours, Result: "-"},
			"between":               {Domain: sender, Recipients: []dns.Name{ours}},
			"for some":              {Recipients: []dns.Name{ours, d.ours[2]}},
			"for a sender":          {Recipients: []dns.Name{sender}},
			"for none":              {Recipients: []dns.Name{}},
			"for some, rejected":    {Recipients: []dns.Name{ours, d.ours[2]}, Action: "reject"},
			"for some, of a client": {Recipients: []dns.Name{ours}, Client: net("192.0.0.0/16")},
			"client":                {Client: net("192.0.3.1/32")},
			"mapped client":         {Client: net("192.0.3.9/32")},
			"network":               {Client: net("192.0.2.0/23")},
			"odd network":           {Client: net("192.0.2.7/29")},
			"network and domain":    {Client: net("192.0.2.0/24"), Domain: ours},
			"network and action":    {Client: net("192.0.0.0/22"), Action: "reject", Until: day2},
			"all of IPv4":           {Client: net("0.0.0.0/0")},
			"all of IPv6":           {Client: net("::/0")},
			"IPv6":                  {Client: net("2001:db8:1::/48")},
			"IPv6, other":           {Client: net("2001:db8:2::/48")},
			"rejected":              {Action: "reject"},
			"author":                {From: sender},
			"author and recipient":  {From: sender, Rcpt: ours},
			"author for some":       {From: sender, Recipients: []dns.Name{ours, d.ours[2]}},
			"author of a client":    {From: sender, Client: net("192.0.0.0/16")},
			"recipient":             {Rcpt: ours},
			"recipient for others":  {Rcpt: ours, Recipients: []dns.Name{d.ours[2]}},
			"sender as recipient":   {Rcpt: sender},
			"held":                  {Held: true},
			"held on a host":        {Held: true, Host: "mx1"},
			"held, of an author":    {Held: true, From: sender, Since: day2},
			"held, for some":        {Held: true, Host: "mx2", Recipients: []dns.Name{ours, d.ours[2], d.ours[3], d.ours[4]}},
			"held and failed":       {Held: true, Result: "fail"},
			"failed":                {Result: "fail"},
			"not evaluated":         {Result: "-", Until: day2},
			"rejected and passed":   {Action: "reject", Result: "pass"},
			"unknown":               {Domain: dns.MustParse("unknown.example")},
		} {
			var want []string
			for i := range slices.Backward(records) {
				if meets(q, &records[i]) {
					want = append(want, records[i].MessageID)
				}
			}
			for _, limit := range []int{7, 10_000} {
				if got := pages(t, s, q, limit, min(len(want), 5*limit)); !slices.Equal(got, want[:min(len(want), 5*limit)]) {
					t.Errorf("%s, by %d: %d found, want %d", name, limit, len(got), len(want))
				}
			}
		}
	})
}

// A search that runs out of time says where to go on, and misses nothing.
func TestSearchWithin(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		s, d := db.open(t), newTraffic(6, 5)
		load(t, s, "a", d.batch(500, epoch0, 120*time.Hour))
		q := memory.Query{Domain: d.ours[1], Limit: 1000}
		want, err := s.Search(t.Context(), q)
		if err != nil || len(want.Found) < 5 || want.Next != 0 {
			t.Fatal(len(want.Found), want.Next, err)
		}
		var got []memory.Found
		rounds := 0
		for q.Within = 1; ; rounds++ {
			page, err := s.Search(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, page.Found...)
			if q.Before = page.Next; page.Next == 0 {
				break
			}
		}
		if len(got) != len(want.Found) || rounds != 4 {
			t.Errorf("%d found in %d rounds, want %d", len(got), rounds, len(want.Found))
		}
	})
}

// pages searches page by page until it has n message-ids or there are no more.
func pages(t *testing.T, s *Store, q memory.Query, limit, n int) (ids []string) {
	t.Helper()
	for q.Limit = limit; ; {
		page, err := s.Search(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range page.Found {
			ids = append(ids, f.Record.MessageID)
		}
		if page.Next == 0 || len(ids) >= n {
			return ids
		}
		q.Before = page.Next
	}
}

func TestHeld(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		s := db.open(t)
		records := newTraffic(3, 5).batch(100, epoch0, time.Hour)
		for i, host := range map[int]string{10: "mx1", 50: "mx2", 90: ""} {
			records[i].Hold, records[i].Host, records[i].Decision.Action = "DMARC", host, policy.Quarantine
		}
		load(t, s, "a", records)
		count := func(host string, want int64, oldest int) {
			t.Helper()
			n, since, err := s.CountHeld(t.Context(), host)
			if err != nil || n != want || n > 0 && !since.Equal(records[oldest].At) || n == 0 && !since.IsZero() {
				t.Errorf("%s: %d held since %s, %v; want %d", host, n, since, err, want)
			}
		}
		count("", 3, 10)
		count("mx2", 2, 50)
		page := must(s.Search(t.Context(), memory.Query{Held: true, Host: "mx1"}))
		if len(page.Found) != 2 || !page.Found[0].Held || page.Found[1].Record.QueueID != records[10].QueueID {
			t.Fatalf("%v", page)
		}
		key := page.Found[1].Key
		for _, want := range []bool{true, false} {
			if was, err := s.Unhold(t.Context(), key); err != nil || was != want {
				t.Errorf("unhold: %v, %v", was, err)
			}
		}
		count("", 2, 50)
		again := must(s.Search(t.Context(), memory.Query{Key: key})).Found
		if len(again) != 1 || again[0].Key != key || again[0].Held || again[0].Record.Hold == "" {
			t.Errorf("by its key: %+v", again)
		}
		if other := must(s.Search(t.Context(), memory.Query{Key: key, Recipients: []dns.Name{dns.MustParse("other.example")}})).Found; len(other) != 0 {
			t.Error("somebody else's message is found by its key")
		}
	})
}

func TestFindGivesTraces(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		s := db.open(t)
		records := newTraffic(3, 5).batch(100, epoch0, time.Hour)
		load(t, s, "a", records)
		traced := slices.IndexFunc(records, func(r memory.Record) bool { return r.Trace != nil })
		searched, err := s.Search(t.Context(), memory.Query{QueueID: records[traced].QueueID})
		if err != nil || len(searched.Found) != 1 || searched.Found[0].Record.Trace != nil {
			t.Errorf("search: %v, %v", searched, err)
		}
		searched, err = s.Search(t.Context(), memory.Query{QueueID: records[traced].QueueID, Traces: true})
		if err != nil || len(searched.Found) != 1 || !same(t, searched.Found[0].Record, &records[traced]) {
			t.Errorf("search with traces: %v, %v", searched, err)
		}
		found, err := s.Find(t.Context(), records[traced].QueueID, 10)
		if err != nil || len(found) != 1 || !same(t, &found[0], &records[traced]) {
			t.Errorf("find: %v, %v", found, err)
		}
	})
}

func TestUnreadableRecordHidesNoOther(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		s := db.open(t)
		records := newTraffic(4, 5).batch(20, epoch0, time.Hour)
		load(t, s, "a", records)
		err := s.write(t.Context(), "test", func(ctx context.Context, t *tx) error {
			_, err := t.exec(ctx, `UPDATE messages SET record = $1 WHERE queue_key = $2`, []byte("\xffnonsense"), hashKey(queueKind, records[7].QueueID))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if n := len(all(t, s)); n != 19 || s.Undecodable() != 1 {
			t.Errorf("%d records, %d counted", n, s.Undecodable())
		}
		if _, err := s.Prune(t.Context(), Retention{Messages: time.Hour}, epoch0.Add(1000*time.Hour)); err != nil {
			t.Error(err)
		}
		if n := rowCount(t, s, "message_domains"); n != 0 {
			t.Errorf("%d domains stay", n)
		}
	})
}

func rowCount(t testing.TB, s *Store, table string) (n int64) {
	t.Helper()
	err := s.read(t.Context(), "count", func(ctx context.Context, t *tx) error {
		return t.row(ctx, `SELECT count(*) FROM `+table).Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Records goes on while batches are loaded, and holds nobody up.
func TestRecordsWhileLoading(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		s, d := db.open(t), newTraffic(5, 20)
		for i := range 6 {
			load(t, s, "a", d.batch(500, epoch0.Add(time.Duration(i)*time.Hour), time.Hour))
		}
		n, loaded := 0, 6
		var last time.Time
		err := s.Records(t.Context(), epoch0, time.Time{}, func(r *memory.Record) error {
			if n++; n%500 == 250 && loaded < 9 { // in the middle of a page
				load(t, s, "a", d.batch(500, epoch0.Add(time.Duration(loaded)*time.Hour), time.Hour))
				loaded++
			}
			if r.At.Before(last) {
				t.Errorf("%v after %v", r.At, last)
			}
			last = r.At
			return nil
		})
		if err != nil || n != 9*500 {
			t.Errorf("%d records, %v", n, err)
		}
		stop := errors.New("stop")
		if err := s.Records(t.Context(), time.Time{}, time.Time{}, func(*memory.Record) error { return stop }); err != stop {
			t.Error(err)
		}
	})
}

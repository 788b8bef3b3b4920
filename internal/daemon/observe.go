package daemon

import (
	"context"
	"errors"
	"net/netip"

	"dmarcd/internal/memory"
	"dmarcd/internal/report/analysis"
)

// Bounds of evaluating reports on sources to be identified.
const (
	observedAtOnce  = 200    // addresses
	observedRecords = 20_000 // of them together, the latest first
	observedDays    = 90
)

// errObserved ends the reading of records when there are enough.
var errObserved = errors.New("daemon: enough was seen")

// observe sums what reports state about addresses. The answer contains each address.
func (i *identifier) observe(ctx context.Context, sources []netip.Addr) (map[netip.Addr]*analysis.Observed, error) {
	out := make(map[netip.Addr]*analysis.Observed, len(sources))
	today := memory.DayOf(i.now())
	q := analysis.Query{Filter: analysis.Filter{From: today - observedDays, To: today}}
	for _, addr := range sources {
		addr = addr.Unmap()
		out[addr] = &analysis.Observed{Source: addr}
		q.Filter.IP.Any = append(q.Filter.IP.Any, analysis.AddressRange{Network: netip.PrefixFrom(addr, addr.BitLen())})
	}
	records := 0
	err := i.figures.Export(ctx, q, func(d *analysis.Detail) error {
		addr, err := netip.ParseAddr(d.IP)
		if err != nil || out[addr] == nil {
			return nil // no address that was asked for
		}
		out[addr].Add(&analysis.Record{
			Domain: d.Domain, Reporter: d.Reporter, HeaderFrom: d.HeaderFrom, EnvelopeFrom: d.EnvelopeFrom, Messages: d.Messages,
			SPF: d.SPF, DKIM: d.DKIM, Auth: &d.Auth,
		})
		if records++; records >= observedRecords {
			return errObserved
		}
		return nil
	})
	if err != nil && !errors.Is(err, errObserved) {
		return nil, err
	}
	return out, nil
}

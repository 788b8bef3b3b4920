package store

import (
	"context"
	"encoding/json"
	"net/netip"

	"dmarcd/internal/report/analysis"
)

// aboutText is the stored form of the facts about a source.
func aboutText(a *analysis.SourceAbout) string { return jsonText(a) }

// addAbout adds the facts about addresses, each as of the names in its row.
func (t *tx) addAbout(ctx context.Context, rows []sourceRow) error {
	places := map[sourceInfo]int{}
	var sources []any
	for i := range rows {
		if addr, err := netip.ParseAddr(rows[i].IP); err == nil {
			places[sourceInfo{rows[i].Service, rows[i].Host, rows[i].IP}] = i
			sources = append(sources, sourceKey(addr))
		}
	}
	return t.inChunks(ctx, sources, func(scan func(...any) error) error {
		var info sourceInfo
		var text string
		if err := scan(&info.ip, &info.host, &info.service, &text); err != nil {
			return err
		}
		i, ok := places[info]
		if !ok {
			return nil // another span of the address
		}
		if err := json.Unmarshal([]byte(text), &rows[i].SourceAbout); err != nil {
			t.s.undecodable.Add(1)
		}
		return nil
	}, `SELECT i.ip, i.host, n.value, i.about FROM received_identities i JOIN received_names n ON n.id = i.service WHERE i.source IN`)
}

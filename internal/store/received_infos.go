package store

import (
	"context"
	"maps"
	"slices"
	"sync"

	"dmarcd/internal/report/analysis"
)

// sourceInfo is the name of an identity.
type sourceInfo struct{ service, host, ip string }

// at is its name at a level.
func (i sourceInfo) at(level analysis.Level) sourceInfo {
	switch level {
	case analysis.LevelIP:
		return i
	case analysis.LevelHost:
		return sourceInfo{service: i.service, host: i.host}
	}
	return sourceInfo{service: i.service}
}

// infoCache caches the names of identities, as of the latest change of one.
type infoCache struct {
	mu      sync.Mutex
	version int64
	infos   map[int64]sourceInfo
}

// find returns the cached names of identities as of a version, and those not cached.
func (c *infoCache) find(version int64, of map[int64]*sourceSums) (found map[int64]sourceInfo, missing map[int64]bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if version > c.version || c.infos == nil {
		c.version, c.infos = version, map[int64]sourceInfo{}
	}
	found, missing = make(map[int64]sourceInfo, len(of)), map[int64]bool{}
	for id := range of {
		info, ok := c.infos[id]
		if ok && version == c.version {
			found[id] = info
		} else {
			missing[id] = true
		}
	}
	return found, missing
}

// add caches what was read as of a version.
func (c *infoCache) add(version int64, infos map[int64]sourceInfo) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if version != c.version || len(infos) > maxShared {
		return
	}
	if len(c.infos)+len(infos) > maxShared {
		clear(c.infos)
	}
	maps.Copy(c.infos, infos)
}

// manyIdentities is from how many on all identities are read rather than those wanted.
const manyIdentities = 2000

// sourceInfos returns the names of identities.
func (t *tx) sourceInfos(ctx context.Context, of map[int64]*sourceSums) (map[int64]sourceInfo, error) {
	if len(of) == 0 {
		return nil, nil
	}
	var version int64
	if err := t.row(ctx, `SELECT coalesce(max(value), 0) FROM received_state WHERE name = 'identified'`).Scan(&version); err != nil {
		return nil, err
	}
	infos, missing := t.s.infos.find(version, of)
	if len(missing) == 0 {
		return infos, nil
	}
	read, err := t.readInfos(ctx, missing)
	if err != nil {
		return nil, err
	}
	t.s.infos.add(version, read)
	maps.Copy(infos, read)
	return infos, nil
}

func (t *tx) readInfos(ctx context.Context, of map[int64]bool) (map[int64]sourceInfo, error) {
	const query = `SELECT i.id, i.service, i.host, i.ip FROM received_identities i`
	out := make(map[int64]sourceInfo, len(of))
	services := map[int64][]int64{}
	take := func(scan func(...any) error) error {
		var id, service int64
		var info sourceInfo
		err := scan(&id, &service, &info.host, &info.ip)
		if of[id] {
			out[id] = info
			services[service] = append(services[service], id)
		}
		return err
	}
	var err error
	if len(of) > manyIdentities {
		err = t.rows(ctx, take, query)
	} else {
		err = t.inChunks(ctx, anys(slices.Collect(maps.Keys(of))), take, query+` WHERE i.id IN`)
	}
	if err != nil {
		return nil, err
	}
	names, err := t.nameTexts(ctx, slices.Collect(maps.Keys(services)))
	for service, ids := range services {
		for _, id := range ids {
			info := out[id]
			info.service = names[service]
			out[id] = info
		}
	}
	return out, err
}

// identified has all daemons forget what identities were called. It is for a transaction
// that has taken ids.
func (t *tx) identified(ctx context.Context) error {
	_, err := t.exec(ctx, `INSERT INTO received_state (name, value) VALUES ('identified', 1)
		ON CONFLICT (name) DO UPDATE SET value = received_state.value + 1`)
	return err
}

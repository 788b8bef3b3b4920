package store

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"dmarcd/internal/memory"
	"dmarcd/internal/policy"
)

var _ memory.Policies = (*Store)(nil)

// maxPolicyText bounds what the text of a policy may unpack to.
const maxPolicyText = 256 << 20

// NotePolicy is memory.Policies'.
func (s *Store) NotePolicy(ctx context.Context, host string, at time.Time, text policy.Source) error {
	id := text.ID()
	body, err := packSource(text)
	if err != nil {
		return err
	}
	return s.write(ctx, "note a policy", func(ctx context.Context, t *tx) error {
		var last []byte
		err := t.row(ctx, `SELECT policy FROM policy_uses WHERE host = $1 ORDER BY id DESC LIMIT 1`, host).Scan(&last)
		switch {
		case err == nil && bytes.Equal(last, id[:]):
			return nil
		case err != nil && !errors.Is(err, ErrNotFound):
			return err
		}
		if _, err := t.exec(ctx, `INSERT INTO policies (id, body) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING`, id[:], body); err != nil {
			return err
		}
		_, err = t.exec(ctx, `INSERT INTO policy_uses (at, host, policy) VALUES ($1, $2, $3)`, at.UnixMicro(), host, id[:])
		return err
	})
}

// PolicyHistory is memory.Policies'.
func (s *Store) PolicyHistory(ctx context.Context, before int64, limit int) ([]memory.PolicyUse, error) {
	var out []memory.PolicyUse
	err := s.read(ctx, "policy history", func(ctx context.Context, t *tx) error {
		out = nil
		return t.rows(ctx, func(scan func(...any) error) error {
			var use memory.PolicyUse
			var at int64
			var id []byte
			if err := scan(&use.Key, &at, &use.Host, &id); err != nil {
				return err
			}
			use.At = time.UnixMicro(at).UTC()
			copy(use.Policy[:], id)
			out = append(out, use)
			return nil
		}, `SELECT id, at, host, policy FROM policy_uses WHERE $1 = 0 OR id < $1 ORDER BY id DESC LIMIT $2`, before, searchLimit(limit))
	})
	return out, err
}

// PolicySource is memory.Policies'.
func (s *Store) PolicySource(ctx context.Context, id policy.SourceID) (policy.Source, error) {
	var body []byte
	err := s.read(ctx, "text of a policy", func(ctx context.Context, t *tx) error {
		return t.row(ctx, `SELECT body FROM policies WHERE id = $1`, id[:]).Scan(&body)
	})
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return unpackSource(body)
}

// packSource deflates the text, which is long and repeats itself.
func packSource(text policy.Source) ([]byte, error) {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, flate.DefaultCompression)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(json.NewEncoder(w).Encode(text), w.Close()); err != nil {
		return nil, fmt.Errorf("store: text of a policy: %w", err)
	}
	return b.Bytes(), nil
}

func unpackSource(body []byte) (policy.Source, error) {
	var text policy.Source
	r := io.LimitReader(flate.NewReader(bytes.NewReader(body)), maxPolicyText)
	if err := json.NewDecoder(r).Decode(&text); err != nil {
		return nil, fmt.Errorf("%w: text of a policy: %w", ErrDamaged, err)
	}
	return text, nil
}

// dropPolicies removes uses before a time, but for the latest of each host, and the
// texts that no use is left of.
func (s *Store) dropPolicies(ctx context.Context, before time.Time) error {
	return s.write(ctx, "prune policies", func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, `DELETE FROM policy_uses WHERE at < $1 AND id NOT IN (SELECT max(id) FROM policy_uses GROUP BY host)`, before.UnixMicro())
		if err != nil || n == 0 {
			return err
		}
		_, err = t.exec(ctx, `DELETE FROM policies WHERE NOT EXISTS (SELECT 1 FROM policy_uses u WHERE u.policy = policies.id)`)
		return err
	})
}

package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"dmarcd/internal/account"
)

var _ account.Store = (*Store)(nil)

const userColumns = `name, role, domains, hash, language, theme, created, logged_in`

func scanUser(scan func(...any) error, before ...any) (u account.User, err error) {
	var role, domains string
	var created, loggedIn int64
	if err := scan(append(before, &u.Name, &role, &domains, &u.Hash, &u.Language, &u.Theme, &created, &loggedIn)...); err != nil {
		return u, err
	}
	u.Role, u.Created, u.LoggedIn = account.Role(role), unixTime(created), unixTime(loggedIn)
	if err := json.Unmarshal([]byte(domains), &u.Domains); err != nil {
		return u, fmt.Errorf("%w: domains of the user %s: %w", ErrDamaged, u.Name, err)
	}
	return u, nil
}

// timeSeconds is the way back from unixTime.
func timeSeconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// AnyUser is account.Users'.
func (s *Store) AnyUser(ctx context.Context) (bool, error) {
	found, err := s.Users(ctx, "", 1)
	return len(found) > 0, err
}

// User is account.Users'.
func (s *Store) User(ctx context.Context, name string) (u account.User, err error) {
	err = s.read(ctx, "user", func(ctx context.Context, t *tx) error {
		var err error
		u, err = scanUser(t.row(ctx, `SELECT `+userColumns+` FROM console_users WHERE name = $1`, name).Scan)
		return err
	})
	return u, noUser(err)
}

func noUser(err error) error {
	if errors.Is(err, ErrNotFound) {
		return account.ErrNoUser
	}
	return err
}

// Users is account.Users'.
func (s *Store) Users(ctx context.Context, after string, limit int) ([]account.User, error) {
	var out []account.User
	err := s.read(ctx, "users", func(ctx context.Context, t *tx) error {
		out = nil
		return t.rows(ctx, func(scan func(...any) error) error {
			u, err := scanUser(scan)
			out = append(out, u)
			return err
		}, `SELECT `+userColumns+` FROM console_users WHERE name > $1 ORDER BY name LIMIT $2`, after, limit)
	})
	return out, err
}

// AddUser is account.Users'.
func (s *Store) AddUser(ctx context.Context, u account.User) error {
	domains, err := userDomains(&u)
	if err != nil {
		return err
	}
	return s.write(ctx, "add a user", func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, `INSERT INTO console_users (`+userColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (name) DO NOTHING`,
			u.Name, string(u.Role), domains, u.Hash, u.Language, u.Theme, timeSeconds(u.Created), timeSeconds(u.LoggedIn))
		switch {
		case err != nil:
			return err
		case n == 0:
			return account.ErrExists
		}
		// What was made for one of that name while they were removed opens nothing.
		_, err = t.exec(ctx, `DELETE FROM console_credentials WHERE user_name = $1`, u.Name)
		return err
	})
}

func userDomains(u *account.User) (string, error) {
	b, err := json.Marshal(u.Domains)
	return string(b), err
}

// ChangeUser is account.Users'.
func (s *Store) ChangeUser(ctx context.Context, u account.User, hash string) error {
	domains, err := userDomains(&u)
	if err != nil {
		return err
	}
	return s.write(ctx, "change a user", func(ctx context.Context, t *tx) error {
		n, err := t.exec(ctx, `UPDATE console_users SET role = $2, domains = $3, hash = $4, language = $5, theme = $6, logged_in = $7 WHERE name = $1 AND hash = $8`,
			u.Name, string(u.Role), domains, u.Hash, u.Language, u.Theme, timeSeconds(u.LoggedIn), hash)
		if err == nil && n == 0 {
			err = account.ErrNoUser
		}
		return err
	})
}

// RemoveUser is account.Users'.
func (s *Store) RemoveUser(ctx context.Context, name string) error {
	return s.write(ctx, "remove a user", func(ctx context.Context, t *tx) error {
		if _, err := t.exec(ctx, `DELETE FROM console_credentials WHERE user_name = $1`, name); err != nil {
			return err
		}
		n, err := t.exec(ctx, `DELETE FROM console_users WHERE name = $1`, name)
		if err == nil && n == 0 {
			err = account.ErrNoUser
		}
		return err
	})
}

const credentialColumns = `c.id, c.kind, c.user_name, c.created, c.expires, c.used, c.address, c.label, c.scope`

// credentialRow is where a row of credentialColumns is read to.
type credentialRow struct {
	c                      account.Credential
	kind, address, scope   string
	created, expires, used int64
}

func (r *credentialRow) into() []any {
	return []any{&r.c.ID, &r.kind, &r.c.User, &r.created, &r.expires, &r.used, &r.address, &r.c.Label, &r.scope}
}

func (r *credentialRow) credential() account.Credential {
	c := r.c
	c.Kind, c.Scope = account.Kind(r.kind), account.Scope(r.scope)
	c.Created, c.Expires, c.Used = unixTime(r.created), unixTime(r.expires), unixTime(r.used)
	c.Address, _ = netip.ParseAddr(r.address) // none where it is not known
	return c
}

// AddCredential is account.Credentials'.
func (s *Store) AddCredential(ctx context.Context, c account.Credential, most int) error {
	return s.write(ctx, "add a credential", func(ctx context.Context, t *tx) error {
		if _, err := t.exec(ctx, `DELETE FROM console_credentials WHERE expires <= $1`, s.now().Unix()); err != nil {
			return err
		}
		_, err := t.exec(ctx, `INSERT INTO console_credentials (id, kind, user_name, digest, created, expires, used, address, label, scope)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)`, c.ID, string(c.Kind), c.User, c.Digest[:], timeSeconds(c.Created), timeSeconds(c.Expires),
			timeSeconds(c.Used), addressText(c.Address), c.Label, string(c.Scope))
		if err != nil {
			return err
		}
		_, err = t.exec(ctx, `DELETE FROM console_credentials WHERE user_name = $1 AND kind = $2 AND id NOT IN (
			SELECT id FROM console_credentials WHERE user_name = $1 AND kind = $2 ORDER BY created DESC, id DESC LIMIT $3)`, c.User, string(c.Kind), most)
		return err
	})
}

func addressText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// Credential is account.Credentials'.
func (s *Store) Credential(ctx context.Context, digest [32]byte) (c account.Credential, u account.User, err error) {
	err = s.read(ctx, "credential", func(ctx context.Context, t *tx) error {
		var row credentialRow
		var err error
		u, err = scanUser(t.row(ctx, `SELECT `+credentialColumns+`, u.name, u.role, u.domains, u.hash, u.language, u.theme, u.created, u.logged_in
			FROM console_credentials c JOIN console_users u ON u.name = c.user_name WHERE c.digest = $1`, digest[:]).Scan, row.into()...)
		c = row.credential()
		return err
	})
	if errors.Is(err, ErrNotFound) {
		err = account.ErrNoCredential
	}
	return c, u, err
}

// UseCredential is account.Credentials'.
func (s *Store) UseCredential(ctx context.Context, id string, at time.Time, from netip.Addr) error {
	return s.write(ctx, "note the use of a credential", func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `UPDATE console_credentials SET used = $2, address = $3 WHERE id = $1`, id, timeSeconds(at), addressText(from))
		return err
	})
}

// CredentialsOf is account.Credentials'.
func (s *Store) CredentialsOf(ctx context.Context, user string) ([]account.Credential, error) {
	var out []account.Credential
	err := s.read(ctx, "credentials", func(ctx context.Context, t *tx) error {
		out = nil
		return t.rows(ctx, func(scan func(...any) error) error {
			var row credentialRow
			err := scan(row.into()...)
			out = append(out, row.credential())
			return err
		}, `SELECT `+credentialColumns+` FROM console_credentials c WHERE c.user_name = $1 AND c.expires > $2 ORDER BY c.used DESC, c.created DESC, c.id`,
			user, s.now().Unix())
	})
	return out, err
}

// EndCredentials is account.Credentials'.
func (s *Store) EndCredentials(ctx context.Context, user, id string, kind account.Kind, except string) (n int64, err error) {
	err = s.write(ctx, "end credentials", func(ctx context.Context, t *tx) error {
		var err error
		if id != "" {
			n, err = t.exec(ctx, `DELETE FROM console_credentials WHERE user_name = $1 AND id = $2`, user, id)
			return err
		}
		n, err = t.exec(ctx, `DELETE FROM console_credentials WHERE user_name = $1 AND kind = $2 AND id <> $3`, user, string(kind), except)
		return err
	})
	return n, err
}

// Bounds of the audit log.
const (
	auditKept = 400 * 24 * time.Hour
	auditMost = 200_000
)

// AddEntry is account.Audit's.
func (s *Store) AddEntry(ctx context.Context, e account.Entry) error {
	return s.write(ctx, "audit", func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `INSERT INTO console_audit (at, user_name, address, operation, detail, outcome) VALUES ($1, $2, $3, $4, $5, $6)`,
			e.At.UnixMicro(), e.User, e.Address, e.Operation, e.Detail, e.Outcome)
		if err != nil {
			return err
		}
		_, err = t.exec(ctx, `DELETE FROM console_audit WHERE at < $1 OR id <= (SELECT max(id) FROM console_audit) - $2`, e.At.Add(-auditKept).UnixMicro(), int64(auditMost))
		return err
	})
}

// Entries is account.Audit's.
func (s *Store) Entries(ctx context.Context, user string, before int64, limit int) ([]account.Entry, error) {
	var out []account.Entry
	err := s.read(ctx, "audit log", func(ctx context.Context, t *tx) error {
		out = nil
		return t.rows(ctx, func(scan func(...any) error) error {
			var e account.Entry
			var at int64
			err := scan(&e.ID, &at, &e.User, &e.Address, &e.Operation, &e.Detail, &e.Outcome)
			e.At = time.UnixMicro(at).UTC()
			out = append(out, e)
			return err
		}, `SELECT id, at, user_name, address, operation, detail, outcome FROM console_audit
			WHERE ($1 = '' OR user_name = $1) AND ($2 = 0 OR id < $2) ORDER BY id DESC LIMIT $3`, user, before, limit)
	})
	return out, err
}

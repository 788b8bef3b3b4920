// Package accounttest keeps accounts in memory, for tests.
package accounttest

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"dmarcd/internal/account"
)

// Store is an account.Store in memory. Fields may be read while nothing else uses it.
type Store struct {
	mu      sync.Mutex
	ByName  map[string]account.User
	ByID    map[string]account.Credential
	Log     []account.Entry
	Trouble error // what AnyUser answers; nil for none
}

var _ account.Store = (*Store)(nil)

// New makes an empty one.
func New() *Store {
	return &Store{ByName: map[string]account.User{}, ByID: map[string]account.Credential{}}
}

// AnyUser is account.Users'.
func (s *Store) AnyUser(context.Context) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.ByName) > 0, s.Trouble
}

// User is account.Users'.
func (s *Store) User(_ context.Context, name string) (account.User, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, ok := s.ByName[name]
	if !ok {
		return u, account.ErrNoUser
	}
	return u, nil
}

// Users is account.Users'.
func (s *Store) Users(_ context.Context, after string, limit int) (out []account.User, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, u := range s.ByName {
		if name > after {
			out = append(out, u)
		}
	}
	slices.SortFunc(out, func(a, b account.User) int { return cmp.Compare(a.Name, b.Name) })
	return out[:min(limit, len(out))], nil
}

// AddUser is account.Users'.
func (s *Store) AddUser(_ context.Context, u account.User) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, taken := s.ByName[u.Name]; taken {
		return account.ErrExists
	}
	s.ByName[u.Name] = u
	return nil
}

// ChangeUser is account.Users'.
func (s *Store) ChangeUser(_ context.Context, u account.User, hash string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, there := s.ByName[u.Name]; !there || old.Hash != hash {
		return account.ErrNoUser
	}
	s.ByName[u.Name] = u
	return nil
}

// RemoveUser is account.Users'.
func (s *Store) RemoveUser(_ context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.ByName[name]; !there {
		return account.ErrNoUser
	}
	delete(s.ByName, name)
	for id, c := range s.ByID {
		if c.User == name {
			delete(s.ByID, id)
		}
	}
	return nil
}

// AddCredential is account.Credentials'.
func (s *Store) AddCredential(_ context.Context, c account.Credential, _ int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ByID[c.ID] = c
	return nil
}

// Credential is account.Credentials'.
func (s *Store) Credential(_ context.Context, digest [32]byte) (account.Credential, account.User, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.ByID {
		if c.Digest == digest {
			return c, s.ByName[c.User], nil
		}
	}
	return account.Credential{}, account.User{}, account.ErrNoCredential
}

// UseCredential is account.Credentials'.
func (s *Store) UseCredential(_ context.Context, id string, at time.Time, from netip.Addr) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c, ok := s.ByID[id]; ok {
		c.Used, c.Address = at, from
		s.ByID[id] = c
	}
	return nil
}

// CredentialsOf is account.Credentials'.
func (s *Store) CredentialsOf(_ context.Context, user string) (out []account.Credential, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.ByID {
		if c.User == user {
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b account.Credential) int { return cmp.Or(b.Used.Compare(a.Used), cmp.Compare(a.ID, b.ID)) })
	return out, nil
}

// EndCredentials is account.Credentials'.
func (s *Store) EndCredentials(_ context.Context, user, id string, kind account.Kind, except string) (n int64, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.ByID {
		if c.User == user && (c.ID == id || id == "" && c.Kind == kind && c.ID != except) {
			delete(s.ByID, c.ID)
			n++
		}
	}
	return n, nil
}

// AddEntry is account.Audit's.
func (s *Store) AddEntry(_ context.Context, e account.Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	e.ID = int64(len(s.Log) + 1)
	s.Log = append(s.Log, e)
	return nil
}

// Entries is account.Audit's.
func (s *Store) Entries(_ context.Context, user string, before int64, limit int) (out []account.Entry, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range slices.Backward(s.Log) {
		if (user == "" || e.User == user) && (before == 0 || e.ID < before) && len(out) < limit {
			out = append(out, e)
		}
	}
	return out, nil
}

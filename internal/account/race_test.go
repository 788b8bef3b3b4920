package account_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"dmarcd/internal/account"
	"dmarcd/internal/account/accounttest"
)

// meddled is a store in which something happens once, between two steps of ours.
type meddled struct {
	*accounttest.Store
	read, added func() // after a user was read, after a session was added; nil for nothing
}

func once(do *func()) {
	if f := *do; f != nil {
		*do = nil
		f()
	}
}

func (m *meddled) User(ctx context.Context, name string) (account.User, error) {
	u, err := m.Store.User(ctx, name)
	once(&m.read)
	return u, err
}

func (m *meddled) AddCredential(ctx context.Context, c account.Credential, most int) error {
	err := m.Store.AddCredential(ctx, c, most)
	once(&m.added)
	return err
}

// TestPasswordChangedMeanwhile gives aiko another password while somebody who knows the
// old one logs in, changes it as well, or sets a preference: what the admin set stays, and
// the old password opens nothing.
func TestPasswordChangedMeanwhile(t *testing.T) {
	const fresh = "another password"
	for name, race := range map[string]func(s *account.Service, m *meddled, reset func()) error{
		"login, when the password was read": func(s *account.Service, m *meddled, reset func()) error {
			m.read = reset
			_, err := login(t, s, "aiko", password, home)
			return err
		},
		"login, when the session was added": func(s *account.Service, m *meddled, reset func()) error {
			m.added = reset
			_, err := login(t, s, "aiko", password, home)
			return err
		},
		"change of password": func(s *account.Service, m *meddled, reset func()) error {
			m.read = reset
			return s.ChangePassword(t.Context(), "aiko", password, "the thief's own password", home, "")
		},
		"preference": func(s *account.Service, m *meddled, reset func()) error {
			m.read = reset
			return s.Prefer(t.Context(), "aiko", "ja", "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			m := &meddled{Store: accounttest.New()}
			s := account.New(m, func() time.Time { return time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC) })
			if err := s.Add(t.Context(), account.NewUser{User: account.User{Name: "aiko", Role: account.RoleAdmin}, Password: password}); err != nil {
				t.Fatal(err)
			}
			err := race(s, m, func() {
				if err := s.SetPassword(t.Context(), "aiko", fresh, ""); err != nil {
					t.Error(err)
				}
			})
			if !errors.Is(err, account.ErrPassword) && !errors.Is(err, account.ErrChanged) {
				t.Errorf("it went through: %v", err)
			}
			if len(m.ByID) > 0 {
				t.Error("a session is left")
			}
			if _, err := login(t, s, "aiko", fresh, home); err != nil {
				t.Error("the new password is undone:", err)
			}
		})
	}
}

// TestAuditLogIsNotFlooded logs in by names and passwords that nobody can have.
func TestAuditLogIsNotFlooded(t *testing.T) {
	s, store, _ := withUser(t)
	for n := range 500 {
		from := netip.AddrFrom4([4]byte{192, 0, 2, byte(n)})
		if _, err := login(t, s, fmt.Sprintf("<%d>", n), "x", from); !errors.Is(err, account.ErrPassword) && !errors.Is(err, account.ErrLimited) {
			t.Fatal(err)
		}
	}
	if n := len(store.Log); n > 100 {
		t.Errorf("%d lines", n)
	}
}

// TestHangingUpIsNoted tries a password as a client that does not wait for the answer.
func TestHangingUpIsNoted(t *testing.T) {
	m := &strictLog{Store: accounttest.New()}
	s := account.New(m, time.Now)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.Login(ctx, account.Attempt{Name: "<>", Password: password, Address: home}); !errors.Is(err, account.ErrPassword) {
		t.Fatal(err)
	}
	if len(m.Log) != 1 {
		t.Errorf("%d lines", len(m.Log))
	}
}

// strictLog writes nothing for a request that is over, as databases do.
type strictLog struct{ *accounttest.Store }

func (l *strictLog) AddEntry(ctx context.Context, e account.Entry) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return l.Store.AddEntry(ctx, e)
}

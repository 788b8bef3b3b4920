package account_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/account"
	"dmarcd/internal/account/accounttest"
	"dmarcd/internal/errkind"
)

const password = "correct horse battery"

var home = netip.MustParseAddr("192.0.2.1")

// withUser is a service with the user aiko, and its clock.
func withUser(t *testing.T) (*account.Service, *accounttest.Store, *time.Time) {
	t.Helper()
	now := time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)
	store := accounttest.New()
	s := account.New(store, func() time.Time { return now })
	if err := s.Add(t.Context(), account.NewUser{User: account.User{Name: "Aiko", Role: account.RoleAdmin}, Password: password}); err != nil {
		t.Fatal(err)
	}
	return s, store, &now
}

func login(t *testing.T, s *account.Service, name, password string, from netip.Addr) (string, error) {
	secret, _, err := s.Login(t.Context(), account.Attempt{Name: name, Password: password, Address: from})
	return secret, err
}

func TestLogin(t *testing.T) {
	s, store, now := withUser(t)
	if h := store.ByName["aiko"].Hash; !strings.HasPrefix(h, "$argon2id$v=19$m=19456,t=2,p=1$") || strings.Contains(h, password) {
		t.Errorf("kept as %s", h)
	}
	secret, err := login(t, s, " AIKO ", password, home)
	if err != nil {
		t.Fatal(err)
	}
	if _, u, err := s.Session(t.Context(), secret, home); err != nil || u.Name != "aiko" {
		t.Errorf("%+v, %v", u, err)
	}
	for _, wrong := range [][2]string{{"aiko", "wrong"}, {"nobody", password}, {"aiko", ""}, {"", ""}, {strings.Repeat("a", 100), password}, {"aiko", strings.Repeat("a", 2000)}} {
		if _, err := login(t, s, wrong[0], wrong[1], home); !errors.Is(err, account.ErrPassword) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	for _, none := range []string{"", "x", secret + "x", strings.Repeat("x", 1000)} {
		if _, _, err := s.Session(t.Context(), none, home); !errors.Is(err, account.ErrNoCredential) {
			t.Errorf("%q opens: %v", none, err)
		}
	}
	*now = now.Add((12 * time.Hour) + time.Minute)
	if _, _, err := s.Session(t.Context(), secret, home); !errors.Is(err, account.ErrNoCredential) {
		t.Error("an idle session opens:", err)
	}
	for _, e := range store.Log {
		if strings.Contains(fmt.Sprint(e), password) {
			t.Error("the audit log has the password")
		}
	}
}

// TestSessionsEndInTime keeps a session in use.
func TestSessionsEndInTime(t *testing.T) {
	s, _, now := withUser(t)
	secret, err := login(t, s, "aiko", password, home)
	if err != nil {
		t.Fatal(err)
	}
	for end := now.Add((7 * 24 * time.Hour)); ; *now = now.Add((12 * time.Hour) / 2) {
		_, _, err := s.Session(t.Context(), secret, home)
		if over := !now.Before(end); over != (err != nil) {
			t.Fatalf("at %s: %v", now, err)
		}
		if err != nil {
			break
		}
	}
}

func TestLoginLimits(t *testing.T) {
	s, _, now := withUser(t)
	for n := range 5 {
		if _, err := login(t, s, "aiko", "wrong", home); !errors.Is(err, account.ErrPassword) {
			t.Fatalf("try %d: %v", n, err)
		}
	}
	if _, err := login(t, s, "aiko", password, home); !errors.Is(err, account.ErrLimited) {
		t.Errorf("one try more: %v", err)
	}
	if _, err := login(t, s, "aiko", password, netip.MustParseAddr("192.0.2.2")); err != nil {
		t.Errorf("from elsewhere: %v", err)
	}
	// Many names from one network of IPv6.
	for n := range 20 {
		from := netip.MustParseAddr(fmt.Sprintf("2001:db8::%d", n+1))
		if _, err := login(t, s, fmt.Sprintf("user%d", n), "wrong", from); !errors.Is(err, account.ErrPassword) {
			t.Fatalf("name %d: %v", n, err)
		}
	}
	if _, err := login(t, s, "aiko", password, netip.MustParseAddr("2001:db8::ffff")); !errors.Is(err, account.ErrLimited) {
		t.Errorf("a network that tried many names: %v", err)
	}
	*now = now.Add((5 * time.Minute))
	if _, err := login(t, s, "aiko", password, home); err != nil {
		t.Errorf("later: %v", err)
	}
	for n := range 3 * 5 { // right ones are not counted
		if _, err := login(t, s, "aiko", password, home); err != nil {
			t.Fatalf("login %d: %v", n, err)
		}
	}
}

func TestTokens(t *testing.T) {
	s, _, now := withUser(t)
	secret, c, err := s.NewToken(t.Context(), "aiko", "backup", account.ScopeRead, 24*time.Hour)
	if err != nil || !strings.HasPrefix(secret, "dmarcd_") {
		t.Fatal(secret, err)
	}
	if got, u, err := s.Token(t.Context(), secret, home); err != nil || got.Scope != account.ScopeRead || u.Name != "aiko" || got.ID != c.ID {
		t.Errorf("%+v, %v", got, err)
	}
	if _, _, err := s.Session(t.Context(), secret, home); err == nil {
		t.Error("a token opens a session")
	}
	session, err := login(t, s, "aiko", password, home)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Token(t.Context(), session, home); err == nil {
		t.Error("a session serves as a token")
	}
	*now = now.Add(24 * time.Hour)
	if _, _, err := s.Token(t.Context(), secret, home); !errors.Is(err, account.ErrNoCredential) {
		t.Error("a token is good beyond its time:", err)
	}
	for _, bad := range []struct {
		label string
		scope account.Scope
		life  time.Duration
	}{{"", account.ScopeRead, time.Hour}, {"x", "all", time.Hour}, {"x", account.ScopeRead, 0}, {"x", account.ScopeFull, 2 * (366 * 24 * time.Hour)}} {
		if _, _, err := s.NewToken(t.Context(), "aiko", bad.label, bad.scope, bad.life); errkind.Of(err) != errkind.BadRequest {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

func TestChangePassword(t *testing.T) {
	s, _, _ := withUser(t)
	secret, err := login(t, s, "aiko", password, home)
	if err != nil {
		t.Fatal(err)
	}
	kept, _, err := s.Session(t.Context(), secret, home)
	if err != nil {
		t.Fatal(err)
	}
	other, err := login(t, s, "aiko", password, home)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.ChangePassword(t.Context(), "aiko", "wrong", "another password", home, kept.ID); !errors.Is(err, account.ErrPassword) {
		t.Errorf("without the old one: %v", err)
	}
	for _, weak := range []string{"short", "", strings.Repeat("x", 3000)} {
		if err := s.ChangePassword(t.Context(), "aiko", password, weak, home, kept.ID); errkind.Of(err) != errkind.BadRequest {
			t.Errorf("%.10q: %v", weak, err)
		}
	}
	if err := s.ChangePassword(t.Context(), "aiko", password, "another password", home, kept.ID); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Session(t.Context(), secret, home); err != nil {
		t.Error("the session that changed it ended:", err)
	}
	if _, _, err := s.Session(t.Context(), other, home); err == nil {
		t.Error("another session goes on")
	}
	if _, err := login(t, s, "aiko", password, home); !errors.Is(err, account.ErrPassword) {
		t.Error("the old password opens:", err)
	}
}

func TestNewUsers(t *testing.T) {
	s, _, _ := withUser(t)
	for _, bad := range []account.NewUser{
		{User: account.User{Name: "", Role: account.RoleAdmin}, Password: password},
		{User: account.User{Name: "a b", Role: account.RoleAdmin}, Password: password},
		{User: account.User{Name: "<b>", Role: account.RoleAdmin}, Password: password},
		{User: account.User{Name: "ben", Role: "root"}, Password: password},
		{User: account.User{Name: "averylongname", Role: account.RoleViewer}, Password: "averylongname"},
		{User: account.User{Name: "ben", Role: account.RoleViewer}, Password: "short"},
	} {
		if err := s.Add(t.Context(), bad); errkind.Of(err) != errkind.BadRequest {
			t.Errorf("%+v: %v", bad, err)
		}
	}
}

package store

import (
	"errors"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"dmarcd/internal/account"
	"dmarcd/internal/dns"
)

func TestUsers(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		now := epoch0
		s, ctx := db.open(t, func(s *Store) { s.now = func() time.Time { return now } }), t.Context()
		if any := must(s.AnyUser(ctx)); any {
			t.Error("there is a user")
		}
		aiko := account.User{Name: "aiko", Role: account.RoleViewer, Domains: []dns.Name{dns.MustParse("ours.example")}, Hash: "h", Language: "ja", Theme: "dark", Created: epoch0}
		admin := account.User{Name: "admin", Role: account.RoleAdmin, Hash: "h", Created: epoch0}
		for _, u := range []account.User{aiko, admin} {
			if err := s.AddUser(ctx, u); err != nil {
				t.Fatal(err)
			}
		}
		if err := s.AddUser(ctx, aiko); !errors.Is(err, account.ErrExists) {
			t.Error("added twice:", err)
		}
		aiko.LoggedIn, aiko.Hash = epoch0.Add(time.Hour), "other"
		if err := s.ChangeUser(ctx, aiko, "h"); err != nil {
			t.Fatal(err)
		}
		stale := aiko
		stale.Hash = "h"
		if err := s.ChangeUser(ctx, stale, "h"); !errors.Is(err, account.ErrNoUser) {
			t.Error("a change of password is undone:", err)
		}
		if got := must(s.User(ctx, "aiko")); !reflect.DeepEqual(got, aiko) {
			t.Errorf("%+v, want %+v", got, aiko)
		}
		if got := must(s.Users(ctx, "admin", 10)); len(got) != 1 || got[0].Name != "aiko" {
			t.Errorf("after admin: %+v", got)
		}
		if _, err := s.User(ctx, "nobody"); !errors.Is(err, account.ErrNoUser) {
			t.Error(err)
		}
		if err := s.ChangeUser(ctx, account.User{Name: "nobody"}, ""); !errors.Is(err, account.ErrNoUser) {
			t.Error(err)
		}
		if err := s.RemoveUser(ctx, "nobody"); !errors.Is(err, account.ErrNoUser) {
			t.Error(err)
		}
	})
}

func TestCredentials(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		now := epoch0
		s, ctx := db.open(t, func(s *Store) { s.now = func() time.Time { return now } }), t.Context()
		if err := s.AddUser(ctx, account.User{Name: "aiko", Role: account.RoleAdmin, Created: epoch0}); err != nil {
			t.Fatal(err)
		}
		add := func(id string, kind account.Kind, at time.Time, life time.Duration) account.Credential {
			t.Helper()
			c := account.Credential{ID: id, Kind: kind, User: "aiko", Digest: [32]byte{id[0]}, Created: at, Expires: at.Add(life), Used: at,
				Address: netip.MustParseAddr("192.0.2.1"), Label: "Firefox", Scope: account.ScopeRead}
			if err := s.AddCredential(ctx, c, 2); err != nil {
				t.Fatal(err)
			}
			return c
		}
		a := add("a", account.KindSession, epoch0, time.Hour)
		c, u, err := s.Credential(ctx, a.Digest)
		a.Digest = [32]byte{} // it is not given back
		if err != nil || !reflect.DeepEqual(c, a) || u.Name != "aiko" {
			t.Errorf("%+v, %+v, %v", c, u, err)
		}
		add("b", account.KindSession, epoch0.Add(time.Minute), time.Hour)
		add("t", account.KindToken, epoch0.Add(time.Minute), time.Hour)
		add("c", account.KindSession, epoch0.Add(2*time.Minute), 3*time.Hour)
		ids := func() (out string) {
			for _, c := range must(s.CredentialsOf(ctx, "aiko")) {
				out += c.ID
			}
			return out
		}
		if got := ids(); got != "cbt" { // the oldest session had to go
			t.Errorf("%q", got)
		}
		if err := s.UseCredential(ctx, "b", epoch0.Add(time.Hour), netip.MustParseAddr("2001:db8::1")); err != nil {
			t.Fatal(err)
		}
		if got := ids(); got != "bct" {
			t.Errorf("after use: %q", got)
		}
		if n := must(s.EndCredentials(ctx, "other", "b", "", "")); n != 0 {
			t.Error("another user's session is ended")
		}
		if n := must(s.EndCredentials(ctx, "aiko", "", account.KindSession, "c")); n != 1 || ids() != "ct" {
			t.Errorf("%d ended, left %q", n, ids())
		}
		now = epoch0.Add(2 * time.Hour)
		if got := ids(); got != "c" {
			t.Errorf("after the token's time: %q", got)
		}
		if err := s.RemoveUser(ctx, "aiko"); err != nil {
			t.Fatal(err)
		}
		add("l", account.KindToken, now, time.Hour) // asked for before, made after
		if err := s.AddUser(ctx, account.User{Name: "aiko", Role: account.RoleAdmin, Created: epoch0}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := s.Credential(ctx, [32]byte{'l'}); !errors.Is(err, account.ErrNoCredential) {
			t.Error("a token of one who was removed opens the account of another:", err)
		}
		if _, _, err := s.Credential(ctx, [32]byte{'c'}); !errors.Is(err, account.ErrNoCredential) {
			t.Error("a removed user's session opens:", err)
		}
	})
}

func TestAuditLog(t *testing.T) {
	eachDialect(t, func(t *testing.T, db database) {
		s, ctx := db.open(t), t.Context()
		add := func(day int, user string) {
			t.Helper()
			e := account.Entry{At: epoch0.AddDate(0, 0, day), User: user, Address: "192.0.2.1", Operation: "users.add", Detail: "{}", Outcome: "ok"}
			if err := s.AddEntry(ctx, e); err != nil {
				t.Fatal(err)
			}
		}
		add(0, "aiko")
		add(1, "ben")
		add(2, "aiko")
		all := must(s.Entries(ctx, "", 0, 2))
		if len(all) != 2 || all[0].User != "aiko" || all[1].User != "ben" || !all[0].At.Equal(epoch0.AddDate(0, 0, 2)) {
			t.Errorf("%+v", all)
		}
		if rest := must(s.Entries(ctx, "aiko", all[0].ID, 10)); len(rest) != 1 || !rest[0].At.Equal(epoch0) {
			t.Errorf("%+v", rest)
		}
		add(401, "aiko")
		if rest := must(s.Entries(ctx, "", 0, 10)); len(rest) != 3 {
			t.Errorf("what is old stays: %d", len(rest))
		}
	})
}

package account

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/netip"
	"regexp"
	"strings"
	"time"

	"dmarcd/internal/errkind"
	"dmarcd/internal/text"
)

// Lifetimes of sessions and tokens.
const (
	sessionLife = 7 * 24 * time.Hour
	sessionIdle = 12 * time.Hour
	usedEvery   = 5 * time.Minute // precision of the recorded last use
	tokenLife   = 366 * 24 * time.Hour
)

// Bounds of a user's credentials.
const (
	mostSessions = 20
	mostTokens   = 50
	mostLabel    = 200
)

// tokenPrefix begins each API token, so that a leaked one is recognised.
const tokenPrefix = "dmarcd_"

// Service checks and changes access to the console. It is safe for concurrent use.
type Service struct {
	store  Store
	now    func() time.Time
	hasher *hasher
	limits *limits
}

// New returns a Service.
func New(store Store, now func() time.Time) *Service {
	return &Service{store: store, now: now, hasher: newHasher(), limits: newLimits()}
}

// Any reports whether there is a user.
func (s *Service) Any(ctx context.Context) (bool, error) { return s.store.AnyUser(ctx) }

// Attempt is a login attempt.
type Attempt struct {
	Name, Password string
	Address        netip.Addr
	Agent          string // the browser
}

// Login checks a password and begins a session. The secret is for the browser only.
func (s *Service) Login(ctx context.Context, a Attempt) (secret string, u User, err error) {
	name := strings.ToLower(strings.TrimSpace(a.Name))
	defer func() { s.note(ctx, name, a.Address, "login", err) }()
	if !userName.MatchString(name) || len(a.Password) > mostPassword {
		if !s.limits.begin("", a.Address, s.now()) { // each attempt adds a line to the audit log
			return "", User{}, ErrLimited
		}
		return "", User{}, ErrPassword
	}
	if err := s.check(ctx, name, a.Password, a.Address, &u); err != nil {
		return "", User{}, err
	}
	now := s.now().UTC()
	secret, digest := newSecret("")
	c := Credential{
		ID: newID(), Kind: KindSession, User: u.Name, Digest: digest, Created: now, Expires: now.Add(sessionLife), Used: now,
		Address: a.Address, Label: text.Line(a.Agent, mostLabel),
	}
	if err := s.store.AddCredential(ctx, c, mostSessions); err != nil {
		return "", User{}, err
	}
	u.LoggedIn = now
	if err = s.store.ChangeUser(ctx, u, u.Hash); err != nil { // the password changed during the check
		_, endErr := s.store.EndCredentials(context.WithoutCancel(ctx), u.Name, c.ID, KindSession, "")
		if errors.Is(err, ErrNoUser) {
			err = ErrPassword
		}
		return "", User{}, errors.Join(err, endErr)
	}
	return secret, u, nil
}

// check checks a password within the limits and returns its user.
func (s *Service) check(ctx context.Context, name, password string, from netip.Addr, into *User) error {
	if !s.limits.begin(name, from, s.now()) {
		return ErrLimited
	}
	u, err := s.store.User(ctx, name)
	if err != nil && !errors.Is(err, ErrNoUser) {
		s.limits.right(name, from)
		return err
	}
	ok, err := s.hasher.matches(ctx, u.Hash, password)
	if err != nil {
		s.limits.right(name, from)
		return err
	}
	if !ok {
		return ErrPassword
	}
	s.limits.right(name, from)
	*into = u
	return nil
}

// Session returns the session of a secret, and its user.
func (s *Service) Session(ctx context.Context, secret string, from netip.Addr) (Credential, User, error) {
	return s.credential(ctx, secret, KindSession, from)
}

// Token returns the token of a secret, and its user.
func (s *Service) Token(ctx context.Context, secret string, from netip.Addr) (Credential, User, error) {
	if !strings.HasPrefix(secret, tokenPrefix) {
		return Credential{}, User{}, ErrNoCredential
	}
	return s.credential(ctx, secret, KindToken, from)
}

func (s *Service) credential(ctx context.Context, secret string, kind Kind, from netip.Addr) (Credential, User, error) {
	if secret == "" || len(secret) > mostLabel {
		return Credential{}, User{}, ErrNoCredential
	}
	c, u, err := s.store.Credential(ctx, sha256.Sum256([]byte(secret)))
	if err != nil {
		return Credential{}, User{}, err
	}
	now := s.now()
	if c.Kind != kind || !now.Before(c.Expires) || kind == KindSession && now.Sub(c.Used) > sessionIdle {
		return Credential{}, User{}, ErrNoCredential
	}
	if now.Sub(c.Used) >= usedEvery || c.Address != from {
		if err := s.store.UseCredential(ctx, c.ID, now.UTC(), from); err != nil {
			return Credential{}, User{}, err
		}
	}
	return c, u, nil
}

// NewUser is a user to be added.
type NewUser struct {
	User
	Password string
}

var userName = regexp.MustCompile(`^[a-z0-9][a-z0-9._@+-]{0,63}$`)

// Add adds a user.
func (s *Service) Add(ctx context.Context, n NewUser) error {
	n.Name = strings.ToLower(n.Name)
	switch {
	case !userName.MatchString(n.Name):
		return errkind.Errorf(errkind.BadRequest, "name: expected up to 64 letters, digits and . _ @ + -, beginning with a letter or digit")
	case n.Role != RoleViewer && n.Role != RoleAdmin:
		return errkind.Errorf(errkind.BadRequest, "role: expected viewer or admin")
	case n.Role == RoleAdmin && len(n.Domains) > 0:
		return errkind.Errorf(errkind.BadRequest, "domains: an admin sees all domains; only viewers are limited")
	}
	if err := checkPassword(n.Name, n.Password); err != nil {
		return err
	}
	var err error
	if n.Hash, err = s.hasher.hash(ctx, n.Password); err != nil {
		return err
	}
	n.Created = s.now().UTC()
	return s.store.AddUser(ctx, n.User)
}

// SetPassword sets a user's password and ends all sessions except the one called except.
func (s *Service) SetPassword(ctx context.Context, name, password, except string) error {
	u, err := s.store.User(ctx, strings.ToLower(name))
	if err != nil {
		return err
	}
	return s.setPassword(ctx, u, password, except)
}

// setPassword sets the password of a user as read.
func (s *Service) setPassword(ctx context.Context, u User, password, except string) error {
	if err := checkPassword(u.Name, password); err != nil {
		return err
	}
	was := u.Hash
	var err error
	if u.Hash, err = s.hasher.hash(ctx, password); err != nil {
		return err
	}
	if err := s.change(ctx, u, was); err != nil {
		return err
	}
	_, err = s.store.EndCredentials(ctx, u.Name, "", KindSession, except)
	return err
}

// ChangePassword is SetPassword by a user who knows the old password.
func (s *Service) ChangePassword(ctx context.Context, name, old, password string, from netip.Addr, except string) error {
	var u User
	if err := s.check(ctx, name, old, from, &u); err != nil {
		return err
	}
	return s.setPassword(ctx, u, password, except)
}

// change replaces a user who existed a moment ago.
func (s *Service) change(ctx context.Context, u User, hash string) error {
	err := s.store.ChangeUser(ctx, u, hash)
	if errors.Is(err, ErrNoUser) {
		return ErrChanged
	}
	return err
}

// Prefer stores a user's preferences for pages.
func (s *Service) Prefer(ctx context.Context, name, language, theme string) error {
	switch {
	case language != "" && language != "en" && language != "ja":
		return errkind.Errorf(errkind.BadRequest, "language: expected en, ja or none")
	case theme != "" && theme != "light" && theme != "dark":
		return errkind.Errorf(errkind.BadRequest, "theme: expected light, dark or none")
	}
	u, err := s.store.User(ctx, name)
	if err != nil {
		return err
	}
	u.Language, u.Theme = language, theme
	return s.change(ctx, u, u.Hash)
}

// NewToken creates an API token for a user. Its secret is shown once.
func (s *Service) NewToken(ctx context.Context, user, label string, scope Scope, life time.Duration) (string, Credential, error) {
	label = text.Line(strings.TrimSpace(label), mostLabel)
	switch {
	case label == "":
		return "", Credential{}, errkind.Errorf(errkind.BadRequest, "label: say what the token is for")
	case scope != ScopeRead && scope != ScopeFull:
		return "", Credential{}, errkind.Errorf(errkind.BadRequest, "scope: expected read or full")
	case life <= 0 || life > tokenLife:
		return "", Credential{}, errkind.Errorf(errkind.BadRequest, "days: expected 1 to %d", tokenLife/(24*time.Hour))
	}
	u, err := s.store.User(ctx, user)
	if err != nil {
		return "", Credential{}, err
	}
	now := s.now().UTC()
	secret, digest := newSecret(tokenPrefix)
	c := Credential{ID: newID(), Kind: KindToken, User: u.Name, Digest: digest, Created: now, Expires: now.Add(life), Label: label, Scope: scope}
	return secret, c, s.store.AddCredential(ctx, c, mostTokens)
}

// Store returns the store, for lists.
func (s *Service) Store() Store { return s.store }

// note writes a line about a login to the audit log. A failure to write is no reason to
// refuse a login.
func (s *Service) note(ctx context.Context, user string, from netip.Addr, operation string, err error) {
	outcome := "ok"
	if err != nil {
		outcome = text.Line(err.Error(), mostLabel)
	}
	if errors.Is(err, ErrLimited) {
		return // the previous tries are recorded
	}
	_ = s.store.AddEntry(context.WithoutCancel(ctx), Entry{ // recorded even if the client hangs up
		At: s.now().UTC(), User: text.Line(user, 64), Address: from.String(), Operation: operation, Outcome: outcome,
	})
}

func newSecret(prefix string) (string, [32]byte) {
	b := make([]byte, 32)
	_, _ = rand.Read(b) // it never fails
	secret := prefix + base64.RawURLEncoding.EncodeToString(b)
	return secret, sha256.Sum256([]byte(secret))
}

// newID returns an identifier of a credential; it grants nothing.
func newID() string { return strings.ToLower(rand.Text())[:12] }

// Package account manages access to the console: users with their passwords and domains,
// sessions, API tokens, and the audit log. It stores passwords as argon2id hashes and
// secrets as digests, limits password attempts, and leaves storage to a Store.
package account

import (
	"context"
	"net/netip"
	"time"

	"dmarcd/internal/dns"
	"dmarcd/internal/errkind"
)

// Role is what a user may do.
type Role string

// Roles.
const (
	RoleViewer Role = "viewer" // may look
	RoleAdmin  Role = "admin"  // may look and change; sees all domains
)

// Errors.
var (
	ErrNoUser   = errkind.New(errkind.NotFound, "there is no such user")
	ErrExists   = errkind.New(errkind.BadRequest, "there is such a user already")
	ErrPassword = errkind.New(errkind.NotAllowed, "name or password is wrong")
	// ErrChanged: another caller changed the user at the same time.
	ErrChanged = errkind.New(errkind.BadRequest, "the user was changed or removed just now; try again")
	// ErrLimited: too many password attempts.
	ErrLimited = errkind.New(errkind.NotAllowed, "too many tries; again in 5 minutes")
	// ErrBusy: too many passwords are being checked.
	ErrBusy = errkind.New(errkind.Trouble, "too many people log in just now; try again in a moment")
	// ErrNoCredential: the session or token is unknown or expired.
	ErrNoCredential = errkind.New(errkind.NotFound, "there is no such session or token")
)

// User is a user of the console.
type User struct {
	Name     string
	Role     Role
	Domains  []dns.Name // that a viewer may see; empty for all
	Hash     string     // of the password, in PHC's form
	Language string     // of pages; "" to follow the browser
	Theme    string     // light, dark, or "" to follow the browser
	Created  time.Time
	LoggedIn time.Time // last; zero for never
}

// Kind is what a credential is.
type Kind string

// Kinds of credentials.
const (
	KindSession Kind = "session"
	KindToken   Kind = "token"
)

// Scope is what a token may do.
type Scope string

// Scopes of tokens.
const (
	ScopeRead Scope = "read" // look
	ScopeFull Scope = "full" // whatever the user may do
)

// Credential is a session or a token. Only its owner knows its secret.
type Credential struct {
	ID      string // for people and links; grants nothing
	Kind    Kind
	User    string
	Digest  [32]byte // SHA-256 of the secret
	Created time.Time
	Expires time.Time
	Used    time.Time  // last use, to within a few minutes
	Address netip.Addr // where it was created, or last used
	Label   string     // the name of a token, the browser of a session
	Scope   Scope      // of a token
}

// Entry is a line of the audit log.
type Entry struct {
	ID        int64 // increases with time
	At        time.Time
	User      string // "" for a command on this host
	Address   string // "" for a command
	Operation string
	Detail    string // the request, without secrets
	Outcome   string // "ok", or the error
}

// Store stores the data of this package. It must be safe for concurrent use.
type Store interface {
	Users
	Credentials
	Audit
}

// Users stores users.
type Users interface {
	// AnyUser reports whether there is a user.
	AnyUser(ctx context.Context) (bool, error)
	// User returns one; ErrNoUser for none.
	User(ctx context.Context, name string) (User, error)
	// Users returns those whose names follow after, in order.
	Users(ctx context.Context, after string, limit int) ([]User, error)
	// AddUser adds one; ErrExists if the name is taken.
	AddUser(ctx context.Context, u User) error
	// ChangeUser replaces a user whose stored password hash is still hash, so that a stale
	// copy cannot undo a change of password; ErrNoUser for none.
	ChangeUser(ctx context.Context, u User, hash string) error
	// RemoveUser removes one with all credentials; ErrNoUser for none.
	RemoveUser(ctx context.Context, name string) error
}

// Credentials stores sessions and tokens.
type Credentials interface {
	// AddCredential adds one, and removes expired ones and the user's oldest beyond the
	// bound.
	AddCredential(ctx context.Context, c Credential, most int) error
	// Credential returns the one with that digest and its user; ErrNoCredential for none.
	Credential(ctx context.Context, digest [32]byte) (Credential, User, error)
	// UseCredential records its use.
	UseCredential(ctx context.Context, id string, at time.Time, from netip.Addr) error
	// CredentialsOf returns those of a user, the most recently used first.
	CredentialsOf(ctx context.Context, user string) ([]Credential, error)
	// EndCredentials removes one, or with an empty id all of a user and kind except the one
	// called except. It returns how many.
	EndCredentials(ctx context.Context, user, id string, kind Kind, except string) (int64, error)
}

// Audit stores the audit log.
type Audit interface {
	// AddEntry adds a line, and removes old ones.
	AddEntry(ctx context.Context, e Entry) error
	// Entries returns lines before an ID that is not 0, newest first.
	Entries(ctx context.Context, user string, before int64, limit int) ([]Entry, error)
}

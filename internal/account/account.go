// Package account knows who may use the console: users with their passwords and
// domains, sessions, API tokens, and the audit log. It keeps passwords by argon2id and
// secrets by their digest, limits how often a password may be tried, and leaves the
// rest to a Store.
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
	// ErrChanged: somebody else changed the user at the same time.
	ErrChanged = errkind.New(errkind.BadRequest, "the user was changed or removed just now; try again")
	// ErrLimited: too many passwords were tried.
	ErrLimited = errkind.New(errkind.NotAllowed, "too many tries; again in 5 minutes")
	// ErrBusy: too many passwords are being checked just now.
	ErrBusy = errkind.New(errkind.Trouble, "too many people log in just now; try again in a moment")
	// ErrNoCredential: the session or token is unknown, or its time is over.
	ErrNoCredential = errkind.New(errkind.NotFound, "there is no such session or token")
)

// User is somebody who may use the console.
type User struct {
	Name     string
	Role     Role
	Domains  []dns.Name // that a viewer may see; empty for all
	Hash     string     // of the password, in PHC's form
	Language string     // of pages; "" as the browser asks for
	Theme    string     // light, dark, or "" as the browser asks for
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

// Credential is a session or a token. Its secret is known to its owner alone.
type Credential struct {
	ID      string // for people and links; opens nothing
	Kind    Kind
	User    string
	Digest  [32]byte // SHA-256 of the secret
	Created time.Time
	Expires time.Time
	Used    time.Time  // last, to a few minutes
	Address netip.Addr // that it was made from, or used last
	Label   string     // of a token its name, of a session the browser
	Scope   Scope      // of a token
}

// Entry is a line of the audit log.
type Entry struct {
	ID        int64 // a later one has a greater one
	At        time.Time
	User      string // "" for a command on this host
	Address   string // "" for a command
	Operation string
	Detail    string // the request, without secrets
	Outcome   string // "ok", or why not
}

// Store keeps what this package knows. It may be used by several goroutines.
type Store interface {
	Users
	Credentials
	Audit
}

// Users keeps users.
type Users interface {
	// AnyUser tells whether there is a user.
	AnyUser(ctx context.Context) (bool, error)
	// User gives one; ErrNoUser for none.
	User(ctx context.Context, name string) (User, error)
	// Users gives those whose name follows after, in order.
	Users(ctx context.Context, after string, limit int) ([]User, error)
	// AddUser adds one; ErrExists if the name is taken.
	AddUser(ctx context.Context, u User) error
	// ChangeUser replaces one whose password is still kept as hash, so that nobody who
	// read the user before a change of password undoes it; ErrNoUser for none.
	ChangeUser(ctx context.Context, u User, hash string) error
	// RemoveUser removes one with all credentials; ErrNoUser for none.
	RemoveUser(ctx context.Context, name string) error
}

// Credentials keeps sessions and tokens.
type Credentials interface {
	// AddCredential adds one, and removes those whose time is over and the oldest
	// beyond a bound of the user's.
	AddCredential(ctx context.Context, c Credential, most int) error
	// Credential gives the one of that digest with its user; ErrNoCredential for none.
	Credential(ctx context.Context, digest [32]byte) (Credential, User, error)
	// UseCredential notes that it was used.
	UseCredential(ctx context.Context, id string, at time.Time, from netip.Addr) error
	// CredentialsOf gives those of a user, the last used first.
	CredentialsOf(ctx context.Context, user string) ([]Credential, error)
	// EndCredentials removes one, or all of a user and kind where id is "", but for the
	// one called except. It gives how many.
	EndCredentials(ctx context.Context, user, id string, kind Kind, except string) (int64, error)
}

// Audit keeps the audit log.
type Audit interface {
	// AddEntry adds a line, and removes what is old.
	AddEntry(ctx context.Context, e Entry) error
	// Entries gives lines before an ID that is not 0, newest first.
	Entries(ctx context.Context, user string, before int64, limit int) ([]Entry, error)
}

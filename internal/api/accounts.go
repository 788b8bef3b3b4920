package api

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"dmarcd/internal/account"
	"dmarcd/internal/dns"
	"dmarcd/internal/errkind"
	"dmarcd/internal/text"
)

// maxAudited bounds the part of a request in the audit log, in octets.
const maxAudited = 1000

// audit records every change, and every failed attempt at one. A failure to record it does not
// prevent it.
func (s *Service) audit(ctx context.Context, v Viewer, operation string, in any, err error) {
	if s.Accounts == nil {
		return
	}
	if a, ok := in.(interface{ Audited() any }); ok {
		in = a.Audited()
	}
	detail, jsonErr := json.Marshal(in)
	if jsonErr != nil {
		detail = nil
	}
	outcome := "ok"
	if err != nil {
		outcome = text.Line(err.Error(), maxAudited)
	}
	_ = s.Accounts.Store().AddEntry(context.WithoutCancel(ctx), account.Entry{
		At: s.Now().UTC(), User: v.User, Address: v.Address, Operation: operation, Detail: text.Line(string(detail), maxAudited), Outcome: outcome,
	})
}

// ViewerOf returns the viewer of a user with a session or token.
func ViewerOf(u *account.User, c *account.Credential, address string) Viewer {
	v := Viewer{User: u.Name, Session: c.ID, Address: address, Role: RoleViewer, Domains: u.Domains, ByToken: c.Kind == account.KindToken}
	if u.Role == account.RoleAdmin && (c.Kind != account.KindToken || c.Scope == account.ScopeFull) {
		v.Role = RoleAdmin
	}
	return v
}

// ConsoleUser is a user of the console.
type ConsoleUser struct {
	Name      string       `json:"name"`
	Role      account.Role `json:"role"`
	Domains   []dns.Name   `json:"domains"` // that a viewer may see; empty for all
	Created   time.Time    `json:"created"`
	LastLogin time.Time    `json:"last_login,omitzero"`
	Language  string       `json:"language,omitempty"`
	Theme     string       `json:"theme,omitempty"`
}

func consoleUser(u *account.User) ConsoleUser {
	return ConsoleUser{
		Name: u.Name, Role: u.Role, Domains: append([]dns.Name{}, u.Domains...), Created: u.Created, LastLogin: u.LoggedIn, Language: u.Language, Theme: u.Theme,
	}
}

// Access is a session or a token of a user.
type Access struct {
	ID      string        `json:"id"`
	Kind    account.Kind  `json:"kind"`
	Label   string        `json:"label"` // of a token its name, of a session the browser
	Scope   account.Scope `json:"scope,omitempty"`
	Created time.Time     `json:"created"`
	Expires time.Time     `json:"expires"`
	Used    time.Time     `json:"used,omitzero"`
	Address string        `json:"address,omitempty"`
	This    bool          `json:"this,omitempty"` // by which it is asked for
}

// access returns a user's sessions and tokens.
func (s *Service) access(ctx context.Context, v Viewer, user string) ([]Access, error) {
	list, err := s.Accounts.Store().CredentialsOf(ctx, user)
	out := []Access{}
	for _, c := range list {
		a := Access{ID: c.ID, Kind: c.Kind, Label: c.Label, Scope: c.Scope, Created: c.Created, Expires: c.Expires, Used: c.Used, This: c.ID == v.Session}
		if c.Address.IsValid() {
			a.Address = c.Address.String()
		}
		out = append(out, a)
	}
	return out, err
}

// UserRequest names a user.
type UserRequest struct {
	Name string `json:"name"`
}

// UsersRequest asks for users whose names follow After.
type UsersRequest struct {
	After string `json:"after,omitempty"`
	Limit int    `json:"limit,omitempty"` // 0 for 100, at most 1000
}

// ConsoleUsers is a page of users.
type ConsoleUsers struct {
	Users []ConsoleUser `json:"users"`
	After string        `json:"after,omitempty"`
}

// Done is the answer of an operation without another one.
type Done struct {
	Done bool `json:"done"`
}

// accountOp returns an operation that needs the accounts.
func accountOp[In, Out any](o Op[In, Out]) Op[In, Out] {
	do := o.Do
	o.Do = func(ctx context.Context, s *Service, v Viewer, in In) (Out, error) {
		var none Out
		switch {
		case s.Accounts == nil:
			return none, missing("users of the console")
		case o.Own && v.User == "":
			return none, errkind.Errorf(errkind.BadRequest, "you have no account: log in first")
		}
		return do(ctx, s, v, in)
	}
	return o
}

// UsersList lists the users of the console.
func UsersList() Op[UsersRequest, ConsoleUsers] {
	return accountOp(Op[UsersRequest, ConsoleUsers]{
		Name: "users.list", Summary: "The users of the console.", Role: RoleAdmin, Scope: ScopeHost,
		Do: func(ctx context.Context, s *Service, _ Viewer, in UsersRequest) (ConsoleUsers, error) {
			limit := pageLimit(in.Limit)
			list, err := s.Accounts.Store().Users(ctx, in.After, limit+1)
			out := ConsoleUsers{Users: []ConsoleUser{}}
			if len(list) > limit {
				list = list[:limit]
				out.After = list[limit-1].Name
			}
			for i := range list {
				out.Users = append(out.Users, consoleUser(&list[i]))
			}
			return out, err
		},
	})
}

// UserShown is a user with their sessions and tokens.
type UserShown struct {
	ConsoleUser
	Access []Access `json:"access"` // the last used first
}

// UsersShow shows a user with their sessions and tokens.
func UsersShow() Op[UserRequest, UserShown] {
	return accountOp(Op[UserRequest, UserShown]{
		Name: "users.show", Summary: "A user of the console with their sessions and tokens.", Role: RoleAdmin, Scope: ScopeHost, Example: UserRequest{Name: "aiko"},
		Do: func(ctx context.Context, s *Service, v Viewer, in UserRequest) (UserShown, error) {
			return s.user(ctx, v, in.Name)
		},
	})
}

func (s *Service) user(ctx context.Context, v Viewer, name string) (out UserShown, err error) {
	u, err := s.Accounts.Store().User(ctx, strings.ToLower(name))
	if err != nil {
		return out, err
	}
	out.ConsoleUser = consoleUser(&u)
	out.Access, err = s.access(ctx, v, u.Name)
	return out, err
}

// AddUserRequest describes a user.
type AddUserRequest struct {
	Name     string       `json:"name"`
	Password string       `json:"password"`
	Role     account.Role `json:"role"`
	Domains  []string     `json:"domains,omitempty"` // that a viewer may see; empty for all
}

// Audited omits the password from the audit log.
func (r AddUserRequest) Audited() any { r.Password = ""; return r }

// UsersAdd adds a user.
func UsersAdd() Op[AddUserRequest, ConsoleUser] {
	return accountOp(Op[AddUserRequest, ConsoleUser]{
		Name: "users.add", Summary: "Add a user of the console.", Role: RoleAdmin, Scope: ScopeHost, Changes: true,
		Example: AddUserRequest{Name: "ben", Password: "correct horse battery", Role: account.RoleViewer},
		Do: func(ctx context.Context, s *Service, _ Viewer, in AddUserRequest) (ConsoleUser, error) {
			n := account.NewUser{User: account.User{Name: strings.ToLower(in.Name), Role: in.Role}, Password: in.Password}
			for _, text := range in.Domains {
				name, err := dns.Parse(text)
				if err != nil {
					return ConsoleUser{}, errkind.Errorf(errkind.BadRequest, "domains: %w", err)
				}
				n.Domains = append(n.Domains, name)
			}
			if err := s.Accounts.Add(ctx, n); err != nil {
				return ConsoleUser{}, err
			}
			u, err := s.Accounts.Store().User(ctx, n.Name)
			return consoleUser(&u), err
		},
	})
}

// PasswordRequest sets a user's password.
type PasswordRequest struct {
	Name     string `json:"name"`
	Password string `json:"password"`
}

// Audited omits the password from the audit log.
func (r PasswordRequest) Audited() any { r.Password = ""; return r }

// UsersPassword sets a user's password and ends their sessions.
func UsersPassword() Op[PasswordRequest, Done] {
	return accountOp(Op[PasswordRequest, Done]{
		Name: "users.password", Summary: "Give a user another password, and end their sessions.", Role: RoleAdmin, Scope: ScopeHost, Changes: true,
		Example: PasswordRequest{Name: "aiko", Password: "correct horse battery"},
		Do: func(ctx context.Context, s *Service, _ Viewer, in PasswordRequest) (Done, error) {
			return Done{true}, s.Accounts.SetPassword(ctx, in.Name, in.Password, "")
		},
	})
}

// UsersRemove removes a user.
func UsersRemove() Op[UserRequest, Done] {
	return accountOp(Op[UserRequest, Done]{
		Name: "users.remove", Summary: "Remove a user with their sessions and tokens.", Role: RoleAdmin, Scope: ScopeHost, Changes: true, Example: UserRequest{Name: "carl"},
		Do: func(ctx context.Context, s *Service, _ Viewer, in UserRequest) (Done, error) {
			return Done{true}, s.Accounts.Store().RemoveUser(ctx, strings.ToLower(in.Name))
		},
	})
}

// EndRequest names a session or token of a user; without an ID all sessions.
type EndRequest struct {
	Name string `json:"name"`
	ID   string `json:"id,omitempty"`
}

// UsersEnd ends sessions or a token of a user.
func UsersEnd() Op[EndRequest, Count] {
	return accountOp(Op[EndRequest, Count]{
		Name: "users.end", Summary: "End a session or token of a user, or all their sessions.", Role: RoleAdmin, Scope: ScopeHost, Changes: true, Example: EndRequest{Name: "aiko"},
		Do: func(ctx context.Context, s *Service, _ Viewer, in EndRequest) (Count, error) {
			n, err := s.Accounts.Store().EndCredentials(ctx, strings.ToLower(in.Name), in.ID, account.KindSession, "")
			return Count{Count: n}, err
		},
	})
}

// AuditRequest asks for a page of the audit log.
type AuditRequest struct {
	User  string `json:"user,omitempty"`
	After string `json:"after,omitempty"` // AuditPage.After of the page before
	Limit int    `json:"limit,omitempty"` // 0 for 100, at most 1000
}

// AuditPage is a page of the audit log, newest first.
type AuditPage struct {
	Entries []AuditEntry `json:"entries"`
	After   string       `json:"after,omitempty"`
}

// AuditEntry is a line of the audit log.
type AuditEntry struct {
	At        time.Time `json:"at"`
	User      string    `json:"user,omitempty"`    // none for a command on the host
	Address   string    `json:"address,omitempty"` // likewise
	Operation string    `json:"operation"`
	Detail    string    `json:"detail,omitempty"` // the request as JSON, without secrets
	Outcome   string    `json:"outcome"`          // ok, or why not
}

// AuditList lists who changed what.
func AuditList() Op[AuditRequest, AuditPage] {
	return accountOp(Op[AuditRequest, AuditPage]{
		Name: "audit.list", Summary: "Who logged in and who changed what, newest first.", Role: RoleAdmin, Scope: ScopeHost,
		Do: func(ctx context.Context, s *Service, _ Viewer, in AuditRequest) (AuditPage, error) {
			out := AuditPage{Entries: []AuditEntry{}}
			before, err := afterKey(in.After)
			if err != nil {
				return out, err
			}
			limit := pageLimit(in.Limit)
			list, err := s.Accounts.Store().Entries(ctx, in.User, before, limit)
			for _, e := range list {
				out.Entries = append(out.Entries, AuditEntry{At: e.At, User: e.User, Address: e.Address, Operation: e.Operation, Detail: e.Detail, Outcome: e.Outcome})
			}
			if len(list) == limit {
				out.After = pageEnd(list[limit-1].ID)
			}
			return out, err
		},
	})
}

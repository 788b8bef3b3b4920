package api

import (
	"context"
	"net/netip"
	"time"

	"dmarcd/internal/account"
)

// AccountRequest asks for the viewer's account.
type AccountRequest struct{}

// AccountShow returns the viewer's account.
func AccountShow() Op[AccountRequest, UserShown] {
	return accountOp(Op[AccountRequest, UserShown]{
		Name: "account.show", Summary: "Your account with its sessions and tokens.", Role: RoleViewer, Scope: ScopeNone, Own: true,
		Do: func(ctx context.Context, s *Service, v Viewer, _ AccountRequest) (UserShown, error) {
			return s.user(ctx, v, v.User)
		},
	})
}

// OwnPasswordRequest changes the viewer's password.
type OwnPasswordRequest struct {
	Old      string `json:"old"`
	Password string `json:"password"`
}

// Audited omits everything from the audit log.
func (OwnPasswordRequest) Audited() any { return struct{}{} }

// AccountPassword changes the viewer's password and ends their other sessions.
func AccountPassword() Op[OwnPasswordRequest, Done] {
	return accountOp(Op[OwnPasswordRequest, Done]{
		Name: "account.password", Summary: "Change your password, and end your other sessions.", Role: RoleViewer, Scope: ScopeNone, Own: true, Changes: true,
		Example: OwnPasswordRequest{Password: "correct horse battery"},
		Do: func(ctx context.Context, s *Service, v Viewer, in OwnPasswordRequest) (Done, error) {
			from, _ := netip.ParseAddr(v.Address) // none: it counts as such
			return Done{true}, s.Accounts.ChangePassword(ctx, v.User, in.Old, in.Password, from, v.Session)
		},
	})
}

// PreferRequest sets the viewer's preferences for pages.
type PreferRequest struct {
	Language string `json:"language,omitempty"` // en or ja; "" as the browser asks for
	Theme    string `json:"theme,omitempty"`    // light or dark; "" as the browser asks for
}

// AccountPrefer stores the viewer's preferences for pages.
func AccountPrefer() Op[PreferRequest, Done] {
	return accountOp(Op[PreferRequest, Done]{
		Name: "account.prefer", Summary: "Choose the language and colours of your pages.", Role: RoleViewer, Scope: ScopeNone, Own: true, Changes: true,
		Do: func(ctx context.Context, s *Service, v Viewer, in PreferRequest) (Done, error) {
			return Done{true}, s.Accounts.Prefer(ctx, v.User, in.Language, in.Theme)
		},
	})
}

// OwnEndRequest names a session or token; without an ID it means every other session.
type OwnEndRequest struct {
	ID string `json:"id,omitempty"`
}

// AccountEnd ends sessions or a token of the viewer.
func AccountEnd() Op[OwnEndRequest, Count] {
	return accountOp(Op[OwnEndRequest, Count]{
		Name: "account.end", Summary: "End a session or token of yours, or all your other sessions.", Role: RoleViewer, Scope: ScopeNone, Own: true, Changes: true,
		Do: func(ctx context.Context, s *Service, v Viewer, in OwnEndRequest) (Count, error) {
			n, err := s.Accounts.Store().EndCredentials(ctx, v.User, in.ID, account.KindSession, v.Session)
			return Count{Count: n}, err
		},
	})
}

// TokenRequest asks for an API token.
type TokenRequest struct {
	Label string        `json:"label"` // what it is for
	Scope account.Scope `json:"scope"` // read, or full
	Days  int           `json:"days"`  // for how long, at most 366
}

// NewToken is a created token.
type NewToken struct {
	Access
	Secret string `json:"secret"` // shown this once
}

// AccountToken creates an API token for the viewer.
func AccountToken() Op[TokenRequest, NewToken] {
	return accountOp(Op[TokenRequest, NewToken]{
		Name: "account.token", Summary: "Make an API token that may do what you may, or only look.", Role: RoleViewer, Scope: ScopeNone, Own: true, Changes: true,
		Example: TokenRequest{Label: "backup", Scope: account.ScopeRead, Days: 30},
		Do: func(ctx context.Context, s *Service, v Viewer, in TokenRequest) (NewToken, error) {
			const day = 24 * time.Hour
			secret, c, err := s.Accounts.NewToken(ctx, v.User, in.Label, in.Scope, time.Duration(min(in.Days, 100_000))*day)
			return NewToken{Access: Access{ID: c.ID, Kind: c.Kind, Label: c.Label, Scope: c.Scope, Created: c.Created, Expires: c.Expires}, Secret: secret}, err
		},
	})
}

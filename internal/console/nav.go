package console

// Sections by their addresses.
const (
	sectionMail     = "/mail"
	sectionPolicy   = "/policy"
	sectionAnalysis = "/analysis"
	sectionOutgoing = "/outgoing"
	sectionSettings = "/settings"
	sectionUsers    = "/users"
)

// sections are those that the visitor may open.
func (v *visit) sections() []link {
	out := []link{{URL: sectionMail, Name: v.t("Mail")}}
	return out
}

// tabs are the pages of a section that the visitor may open.
func (v *visit) tabs(section string) []link {
	switch section {
	case sectionMail:
		return v.mailTabs()
	case sectionUsers:
		return v.userTabs()
	}
	return nil
}

func (v *visit) mailTabs() []link {
	return []link{{URL: "/mail/status", Name: v.t("Status")}}
}

func (v *visit) userTabs() []link {
	if !v.admin() {
		return nil
	}
	return []link{{URL: "/users", Name: v.t("Users")}, {URL: "/users/audit", Name: v.t("Audit log")}}
}

// routes are the pages by method and path.
func (s *site) routes() map[string]pageFunc {
	return map[string]pageFunc{
		"GET /{$}":                    home,
		"GET /login":                  loginPage,
		"POST /login":                 login,
		"POST /logout":                logout,
		"GET /help":                   help,
		"GET /account":                accountPage,
		"POST /account/password":      changePassword,
		"POST /account/preferences":   changePreferences,
		"POST /account/tokens":        newToken,
		"POST /account/end":           endOwnSession,
		"GET /users":                  usersPage,
		"POST /users":                 addUser,
		"GET /users/{name}":           userPage,
		"POST /users/{name}/password": setPassword,
		"POST /users/{name}/end":      endSession,
		"GET /users/{name}/remove":    removeUserPage,
		"POST /users/{name}/remove":   removeUser,
		"GET /users/audit":            auditPage,
		"GET /mail/status":            statusPage,
	}
}

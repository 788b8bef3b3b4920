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

// sections returns those that the visitor may open.
func (v *visit) sections() []link {
	out := []link{
		{URL: sectionMail, Name: v.t("Mail")}, {URL: sectionPolicy, Name: v.t("Policy")}, {URL: sectionAnalysis, Name: v.t("DMARC Report Analysis")},
	}
	if !v.viewer.Limited() {
		out = append(out, link{URL: sectionOutgoing, Name: v.t("Outgoing Reports")})
	}
	if v.admin() {
		out = append(out, link{URL: sectionSettings, Name: v.t("Settings")}, link{URL: sectionUsers, Name: v.t("Users")})
	}
	return out
}

// tabs returns the pages of a section that the visitor may open.
func (v *visit) tabs(section string) []link {
	switch section {
	case sectionMail:
		return v.mailTabs()
	case sectionAnalysis:
		return v.analysisTabs()
	case sectionPolicy:
		return v.policyTabs()
	case sectionOutgoing:
		return []link{{URL: "/outgoing", Name: v.t("Reports")}, {URL: "/outgoing/suppressed", Name: v.t("Suppressed addresses")}}
	case sectionUsers:
		return v.userTabs()
	}
	return nil
}

func (v *visit) mailTabs() []link {
	out := []link{{URL: "/mail", Name: v.t("Activity")}, {URL: "/mail/held", Name: v.t("Held mail")}}
	if !v.viewer.Limited() {
		out = append(out, link{URL: "/mail/status", Name: v.t("Status")})
	}
	return out
}

func (v *visit) analysisTabs() []link {
	return []link{
		{URL: "/analysis", Name: v.t("Overview")}, {URL: "/analysis/sources", Name: v.t("By Sending Source")}, {URL: "/analysis/details", Name: v.t("Details")},
		{URL: "/analysis/trends", Name: v.t("Trends")}, {URL: "/analysis/reports", Name: v.t("Reports")}, {URL: "/analysis/config", Name: v.t("Reporting Configuration")},
	}
}

func (v *visit) policyTabs() []link {
	out := []link{{URL: "/policy", Name: v.t("Domains")}}
	if !v.viewer.Limited() {
		out = append(out, link{URL: "/policy/history", Name: v.t("History")})
	}
	if v.admin() {
		out = append(out, link{URL: "/policy/simulate", Name: v.t("Simulate")})
	}
	return out
}

func (v *visit) userTabs() []link {
	if !v.admin() {
		return nil
	}
	return []link{{URL: "/users", Name: v.t("Users")}, {URL: "/users/audit", Name: v.t("Audit log")}}
}

// routes returns the pages by method and path.
func (s *site) routes() map[string]pageFunc {
	out := map[string]pageFunc{
		"GET /{$}":                                home,
		"GET /login":                              loginPage,
		"POST /login":                             login,
		"POST /logout":                            logout,
		"GET /help":                               help,
		"GET /account":                            accountPage,
		"POST /account/password":                  changePassword,
		"POST /account/preferences":               changePreferences,
		"POST /account/tokens":                    newToken,
		"POST /account/end":                       endOwnSession,
		"GET /users":                              usersPage,
		"POST /users":                             addUser,
		"GET /users/{name}":                       userPage,
		"POST /users/{name}/password":             setPassword,
		"POST /users/{name}/end":                  endSession,
		"GET /users/{name}/remove":                removeUserPage,
		"POST /users/{name}/remove":               removeUser,
		"GET /users/audit":                        auditPage,
		"GET /find":                               find,
		"GET /mail/m/{id}":                        messagePage,
		"GET /policy/{domain}":                    policyPage,
		"GET /policy/history/{id}":                pastPolicyPage,
		"GET /policy/simulate":                    simulatePage,
		"POST /policy/simulate":                   simulateChange,
		"GET /outgoing/{id}":                      outgoingReportPage,
		"POST /outgoing/{id}/retry":               retryReport,
		"POST /outgoing":                          sendReport,
		"POST /outgoing/suppressed":               suppress,
		"POST /outgoing/unsuppress":               unsuppress,
		"GET /mail/status":                        statusPage,
		"GET /analysis/source/{service}":          sourcePage,
		"POST /analysis/source/{service}":         labelSource,
		"GET /analysis/details/{row}":             detailPage,
		"POST /analysis/reports":                  uploadReports,
		"GET /analysis/reports/{id}/raw":          rawReport,
		"POST /analysis/reporters":                decidePair,
		"GET /analysis/readiness/{domain}":        readinessPage,
		"GET /analysis/config/{domain}":           verifyPage,
		"GET /analysis/config/{domain}/generate":  generatePage,
		"POST /analysis/config/{domain}/generate": generate,
	}
	for path, do := range map[string]pageFunc{
		"/mail/activity": activityPage, "/mail/held": heldPage, "/policy/domains": policiesPage, "/policy/history": historyPage, "/outgoing/list": outgoingPage,
		"/outgoing/suppressed": suppressedPage, "/settings": settingsPage,
		"/analysis/overview": overviewPage, "/analysis/sources": sourcesPage, "/analysis/details": detailsPage, "/analysis/trends": trendsPage,
		"/analysis/reports": reportsPage, "/analysis/reporters": reportersPage, "/analysis/config": recordsPage,
	} {
		for _, suffix := range []string{asPage, asCSV, asJSON} {
			out["GET "+path+suffix] = do
		}
	}
	out["GET /analysis"], out["GET /mail"], out["GET /policy"], out["GET /outgoing"] = overviewPage, activityPage, policiesPage, outgoingPage
	return out
}

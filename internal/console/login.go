package console

import (
	"net/http"
	"net/url"
	"strings"

	"dmarcd/internal/account"
	"dmarcd/internal/api"
)

// loginForm is the data of the login page.
type loginForm struct {
	Name, Next, Fault string
}

func loginPage(v *visit) error {
	if v.viewer.Role != "" {
		return v.to("/")
	}
	return v.show(&page{Template: "login", Title: v.t("Log in"), Bare: true, Data: loginForm{Next: ownPath(v.query("next"))}})
}

func login(v *visit) error {
	form := loginForm{Name: v.r.PostFormValue("name"), Next: ownPath(v.r.PostFormValue("next"))}
	secret, u, err := v.accounts.Login(v.ctx(), account.Attempt{
		Name: form.Name, Password: v.r.PostFormValue("password"), Address: v.client.address, Agent: v.r.UserAgent(),
	})
	if err != nil {
		if form.Fault = v.passwordFault(err); form.Fault == "" {
			return err
		}
		v.render(http.StatusForbidden, &page{Template: "login", Title: v.t("Log in"), Bare: true, Data: form})
		return nil
	}
	v.setSession(secret)
	if form.Next == "/" && u.Role == account.RoleViewer && len(u.Domains) == 1 {
		form.Next = "/analysis/sources?" + url.Values{"domain": {u.Domains[0].String()}}.Encode()
	}
	return v.to(form.Next)
}

// ownPath returns a path of this console, to continue after a login; "/" for anything else.
func ownPath(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.Host != "" || u.Scheme != "" || !strings.HasPrefix(s, "/") || strings.HasPrefix(s, "//") || strings.ContainsAny(s, "\\\r\n\t") ||
		strings.HasPrefix(s, "/login") || strings.HasPrefix(s, "/logout") {
		return "/"
	}
	return s
}

func logout(v *visit) error {
	if v.viewer.Session != "" {
		if _, err := ask(v, api.AccountEnd(), api.OwnEndRequest{ID: v.viewer.Session}); err != nil {
			return err
		}
	}
	v.setSession("")
	return v.to("/login")
}

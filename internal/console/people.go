package console

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"dmarcd/internal/account"
	"dmarcd/internal/api"
	"dmarcd/internal/errkind"
)

// accountData is the data of the visitor's account page.
type accountData struct {
	api.UserShown
	Faults map[string]string
	Token  string // that was just made
}

func accountPage(v *visit) error { return v.showAccount(http.StatusOK, accountData{}) }

// showAccount shows the visitor's account, with an error or a new item.
func (v *visit) showAccount(status int, d accountData) (err error) {
	if v.guest {
		return v.to("/users")
	}
	if d.UserShown, err = ask(v, api.AccountShow(), api.AccountRequest{}); err != nil {
		return err
	}
	v.render(status, &page{Template: "account", Title: v.t("Your account"), Data: d})
	return nil
}

func changePassword(v *visit) error {
	password := v.r.PostFormValue("password")
	if password != v.r.PostFormValue("again") {
		return v.showAccount(http.StatusBadRequest, accountData{Faults: map[string]string{"again": v.t("The two passwords differ.")}})
	}
	_, err := ask(v, api.AccountPassword(), api.OwnPasswordRequest{Old: v.r.PostFormValue("old"), Password: password})
	if fault := v.passwordFault(err); fault != "" {
		return v.showAccount(http.StatusForbidden, accountData{Faults: map[string]string{"old": fault}})
	}
	if faults := faultsOf(err); faults != nil {
		return v.showAccount(http.StatusBadRequest, accountData{Faults: faults})
	}
	if err != nil {
		return err
	}
	v.notice = v.t("The password is changed; your other sessions have ended.")
	return v.showAccount(http.StatusOK, accountData{})
}

func changePreferences(v *visit) error {
	if _, err := ask(v, api.AccountPrefer(), api.PreferRequest{Language: v.r.PostFormValue("language"), Theme: v.r.PostFormValue("theme")}); err != nil {
		return err
	}
	return v.to("/account")
}

func newToken(v *visit) error {
	days, err := strconv.Atoi(v.r.PostFormValue("days"))
	if err != nil {
		return errkind.Errorf(errkind.BadRequest, "days: expected a number")
	}
	made, err := ask(v, api.AccountToken(), api.TokenRequest{Label: v.r.PostFormValue("label"), Scope: account.Scope(v.r.PostFormValue("scope")), Days: days})
	if faults := faultsOf(err); faults != nil {
		return v.showAccount(http.StatusBadRequest, accountData{Faults: faults})
	}
	if err != nil {
		return err
	}
	return v.showAccount(http.StatusOK, accountData{Token: made.Secret})
}

func endOwnSession(v *visit) error {
	if _, err := ask(v, api.AccountEnd(), api.OwnEndRequest{ID: v.r.PostFormValue("id")}); err != nil {
		return err
	}
	return v.to("/account")
}

// usersData is the data of the page of users.
type usersData struct {
	api.ConsoleUsers
	Faults map[string]string
	Form   api.AddUserRequest // as it was sent, without the password
}

func usersPage(v *visit) error { return v.showUsers(http.StatusOK, usersData{}) }

func (v *visit) showUsers(status int, d usersData) (err error) {
	p := &page{Template: "users", Title: v.t("Users"), Section: sectionUsers, Tab: "/users"}
	if v.guest {
		p.Template = "firstuser"
		return v.show(p)
	}
	if d.ConsoleUsers, err = ask(v, api.UsersList(), api.UsersRequest{After: v.query("after")}); err != nil {
		return err
	}
	p.Data = d
	v.render(status, p)
	return nil
}

func addUser(v *visit) error {
	in := api.AddUserRequest{
		Name: v.r.PostFormValue("name"), Password: v.r.PostFormValue("password"), Role: account.Role(v.r.PostFormValue("role")),
		Domains: strings.FieldsFunc(v.r.PostFormValue("domains"), func(r rune) bool { return r == ',' || r == ' ' || r == '\n' || r == '\r' }),
	}
	u, err := ask(v, api.UsersAdd(), in)
	if faults := faultsOf(err); faults != nil {
		in.Password = ""
		return v.showUsers(http.StatusBadRequest, usersData{Faults: faults, Form: in})
	}
	if err != nil {
		return err
	}
	return v.to("/users/" + url.PathEscape(u.Name))
}

// userData is the data of the page of a user.
type userData struct {
	api.UserShown
	Fault string
}

func userPage(v *visit) error { return v.showUser(http.StatusOK, "user", "") }

func (v *visit) showUser(status int, template, fault string) error {
	u, err := ask(v, api.UsersShow(), api.UserRequest{Name: v.r.PathValue("name")})
	if err != nil {
		return err
	}
	v.render(status, &page{
		Template: template, Title: u.Name, Section: sectionUsers, Crumbs: []link{{URL: "/users", Name: v.t("Users")}, {Name: u.Name}}, Data: userData{UserShown: u, Fault: fault},
	})
	return nil
}

func setPassword(v *visit) error {
	_, err := ask(v, api.UsersPassword(), api.PasswordRequest{Name: v.r.PathValue("name"), Password: v.r.PostFormValue("password")})
	if faults := faultsOf(err); faults != nil {
		return v.showUser(http.StatusBadRequest, "user", faults["password"])
	}
	if err != nil {
		return err
	}
	v.notice = v.t("The password is changed; all sessions of the user have ended.")
	return v.showUser(http.StatusOK, "user", "")
}

func endSession(v *visit) error {
	name := v.r.PathValue("name")
	if _, err := ask(v, api.UsersEnd(), api.EndRequest{Name: name, ID: v.r.PostFormValue("id")}); err != nil {
		return err
	}
	return v.to("/users/" + url.PathEscape(name))
}

func removeUserPage(v *visit) error { return v.showUser(http.StatusOK, "removeuser", "") }

func removeUser(v *visit) error {
	if _, err := ask(v, api.UsersRemove(), api.UserRequest{Name: v.r.PathValue("name")}); err != nil {
		return err
	}
	return v.to("/users")
}

func auditPage(v *visit) error {
	got, err := ask(v, api.AuditList(), api.AuditRequest{User: v.query("user"), After: v.query("after")})
	if err != nil {
		return err
	}
	return v.show(&page{Template: "audit", Title: v.t("Audit log"), Section: sectionUsers, Tab: "/users/audit", Data: got})
}

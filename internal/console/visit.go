package console

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"dmarcd/internal/account"
	"dmarcd/internal/api"
	"dmarcd/internal/errkind"
)

// visit is one request to a page.
type visit struct {
	*site
	w      http.ResponseWriter
	r      *http.Request
	client gated
	viewer api.Viewer
	user   account.User // zero for a guest
	guest  bool         // there is no user: everybody on this host may read
	secret string       // of the session
	lang   language
	notice string // told on top of the page
	leave  func() // gives the turn to the next, once nothing is left but to write the answer; nil without one
}

// pageFunc answers a visit: it writes the answer, or returns an error.
type pageFunc func(*visit) error

// Errors of pages.
var (
	errNoPage = errkind.New(errkind.NotFound, "there is no such page")
	errForm   = errkind.New(errkind.NotAllowed, "this form is too old, or not from this console; go back, load the page again and send it once more")
)

const (
	sessionCookie       = "dmarcd_session"
	secureSessionCookie = "__Host-dmarcd_session"
	languageCookie      = "dmarcd_lang"
)

// page returns the handler of a page: it identifies the visitor, and shows errors.
func (s *site) page(do pageFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g, _ := r.Context().Value(clientKey{}).(gated)
		v := &visit{site: s, w: w, r: r, client: g, guest: g.guest}
		v.lang = v.chosenLanguage()
		if err := v.serve(do); err != nil {
			v.fail(err)
		}
	})
}

// serve runs the page if the visitor may see it.
func (v *visit) serve(do pageFunc) error {
	if v.client.trouble != nil {
		return v.client.trouble
	}
	if err := v.whoVisits(); err != nil {
		return err
	}
	public := v.r.URL.Path == "/login"
	if v.viewer.Role == "" && !public {
		if v.r.Method != http.MethodGet {
			return errkind.Errorf(errkind.NotAllowed, "log in first")
		}
		http.Redirect(v.w, v.r, "/login?"+url.Values{"next": {v.r.URL.RequestURI()}}.Encode(), http.StatusSeeOther)
		return nil
	}
	if v.r.Method == http.MethodPost {
		v.r.Body = http.MaxBytesReader(v.w, v.r.Body, v.bodyBound())
		if err := v.checkForm(public); err != nil {
			return err
		}
	}
	if err := v.takeTurn(); err != nil {
		return err
	}
	defer v.leave()
	return do(v)
}

// takeTurn waits until the page may be made, because few are made at a time. The caller must then call
// leave.
func (v *visit) takeTurn() error {
	turns := []chan struct{}{v.turn(v.r)}
	switch {
	case v.viewer.Role == "":
		turns[0] = v.login
	case turns[0] == v.slow && v.viewer.User != "":
		turns = []chan struct{}{v.slowTurns(v.viewer.User), v.slow}
	}
	taken := 0
	leave := func() {
		for _, turn := range turns[:taken] {
			<-turn
		}
	}
	for _, turn := range turns {
		select {
		case turn <- struct{}{}:
			taken++
		case <-v.ctx().Done():
			leave()
			return v.ctx().Err()
		}
	}
	v.leave = sync.OnceFunc(leave)
	return nil
}

// write writes a complete answer. A slow client delays nobody else.
func (v *visit) write(answer []byte) {
	if v.leave != nil {
		v.leave()
	}
	_, _ = v.w.Write(answer) // a client that went away is no concern of ours
}

// stranger reports whether the visitor is elsewhere and not logged in: such visitors learn nothing about
// this host.
func (v *visit) stranger() bool {
	return v.viewer.Role == "" && (v.client.proxied || !v.client.address.IsLoopback())
}

// bodyBound bounds the size of a form: files only on pages that accept them.
func (v *visit) bodyBound() int64 {
	if v.viewer.Role == api.RoleAdmin && (v.r.URL.Path == "/analysis/reports" || v.r.URL.Path == "/policy/simulate") {
		return maxUpload
	}
	return maxForm
}

// whoVisits reads the session.
func (v *visit) whoVisits() error {
	if v.guest {
		v.viewer = api.Viewer{Role: api.RoleViewer}
		return nil
	}
	for _, name := range []string{secureSessionCookie, sessionCookie} {
		cookie, err := v.r.Cookie(name)
		if err != nil || v.client.secure != (name == secureSessionCookie) {
			continue
		}
		c, u, err := v.accounts.Session(v.r.Context(), cookie.Value, v.client.address)
		switch {
		case errors.Is(err, account.ErrNoCredential):
			continue
		case err != nil:
			return err
		}
		v.user, v.secret = u, cookie.Value
		v.viewer = api.ViewerOf(&u, &c, v.client.address.String())
		v.lang = v.chosenLanguage()
		return nil
	}
	return nil
}

// setSession gives the browser its secret; "" removes it.
func (v *visit) setSession(secret string) {
	c := &http.Cookie{Name: sessionCookie, Value: secret, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}
	if v.client.secure {
		c.Name, c.Secure = secureSessionCookie, true
	}
	if secret == "" {
		c.MaxAge = -1
	}
	http.SetCookie(v.w, c)
}

// formToken returns the token in the forms of this session.
func (v *visit) formToken() string {
	if v.secret == "" {
		return ""
	}
	sum := sha256.Sum256([]byte("form " + v.secret))
	return base64.RawURLEncoding.EncodeToString(sum[:18])
}

// checkForm reads the form, and rejects one from another session. Before a login there is nothing to
// abuse; forms of other sites are rejected earlier.
func (v *visit) checkForm(public bool) error {
	var err error
	if strings.HasPrefix(v.r.Header.Get("Content-Type"), "multipart/form-data") {
		if v.bodyBound() == maxUpload {
			_ = http.NewResponseController(v.w).SetReadDeadline(time.Now().Add(uploadTime)) // as long as before where it cannot be set
			_ = http.NewResponseController(v.w).SetWriteDeadline(time.Now().Add(2 * uploadTime))
		}
		err = v.r.ParseMultipartForm(maxUpload)
	} else {
		err = v.r.ParseForm()
	}
	if err != nil {
		return errkind.Errorf(errkind.BadRequest, "the form cannot be read: %w", err)
	}
	if public {
		return nil
	}
	if v.guest {
		return errkind.Errorf(errkind.NotAllowed, "without users the console is for reading; add a user first")
	}
	if want := v.formToken(); want == "" || subtle.ConstantTimeCompare([]byte(v.r.PostFormValue("form")), []byte(want)) != 1 {
		return errForm
	}
	return nil
}

// uploadTime bounds the time of an upload.
const uploadTime = 2 * time.Minute

// asker asks operations as the visitor.
func (v *visit) asker() api.Asker { return api.Local{Service: v.Service, Viewer: v.viewer} }

// ask runs an operation for the visitor.
func ask[In, Out any](v *visit, op api.Op[In, Out], in In) (Out, error) {
	return op.Ask(v.ctx(), v.asker(), in)
}

func (v *visit) ctx() context.Context { return v.r.Context() }

// query returns the value of a key of the URL, trimmed.
func (v *visit) query(key string) string { return strings.TrimSpace(v.r.URL.Query().Get(key)) }

// to redirects to another page after a change.
func (v *visit) to(target string) error {
	http.Redirect(v.w, v.r, target, http.StatusSeeOther)
	return nil
}

// admin reports whether the visitor may change things.
func (v *visit) admin() bool { return v.viewer.Role == api.RoleAdmin }

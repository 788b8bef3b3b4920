package console

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"dmarcd/internal/account"
	"dmarcd/internal/api"
	"dmarcd/internal/errkind"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/text"
)

// failure is the data of an error page.
type failure struct {
	Status  int
	What    string   // what happened
	Lines   []string // more of it
	Mail    string   // whether mail is affected
	Next    string   // what to do
	NextURL string
}

// maxErrorText bounds the shown text of an error.
const maxErrorText = 2000

// statusOf returns the HTTP status of an error for this viewer.
func statusOf(err error, v api.Viewer) int {
	switch errkind.Of(err) {
	case errkind.NotFound:
		return http.StatusNotFound
	case errkind.BadRequest, errkind.WrongUse:
		return http.StatusBadRequest
	case errkind.NotAllowed:
		if v.Limited() { // as if it did not exist
			return http.StatusNotFound
		}
		return http.StatusForbidden
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return http.StatusGatewayTimeout
	}
	return http.StatusServiceUnavailable
}

// fail shows an error.
func (v *visit) fail(err error) {
	if v.r.Context().Err() != nil && errors.Is(err, v.r.Context().Err()) {
		return // nobody waits
	}
	f := failure{Status: statusOf(err, v.viewer)}
	lines := strings.Split(text.Lines(text.Error(err), maxErrorText), "\n")
	switch f.Status {
	case http.StatusNotFound:
		f.What, f.Next, f.NextURL = v.t("There is nothing here."), v.t("Go to the start"), "/"
		if !v.viewer.Limited() {
			f.Lines = lines
		}
	case http.StatusForbidden:
		f.What, f.Lines, f.Next, f.NextURL = v.t("You may not do that."), lines, v.t("Go to the start"), "/"
	case http.StatusBadRequest:
		f.What, f.Lines = v.t("That cannot be answered as it was asked."), lines
	default:
		f.What, f.Mail = v.t("The console cannot answer now."), v.t("Mail is not affected: it is filtered all the same.")
		f.Lines = lines
		if v.viewer.Limited() || v.stranger() {
			f.Lines = nil
		}
		v.Log.Warn("a page of the console could not be made", "path", text.Line(v.r.URL.Path, 200), "error", err.Error())
	}
	v.w.Header().Del("Content-Disposition")
	v.render(f.Status, &page{Template: "failure", Title: f.What, Data: f, Bare: v.viewer.Role == ""})
}

// faultsOf returns the faults of a form or filter, by field; nil for other errors.
func faultsOf(err error) map[string]string {
	if err == nil || errkind.Of(err) != errkind.BadRequest {
		return nil
	}
	out := map[string]string{}
	var collect func(error)
	collect = func(err error) {
		var criterion *analysis.CriterionError
		if list, ok := err.(interface{ Unwrap() []error }); ok {
			for _, one := range list.Unwrap() {
				collect(one)
			}
			return
		}
		if errors.As(err, &criterion) {
			if inner := errors.Unwrap(err); inner != nil && error(criterion) != err {
				collect(inner)
				return
			}
			out[criterion.Name] = criterion.Text
			return
		}
		field, rest, ok := strings.Cut(err.Error(), ": ")
		if !ok || strings.ContainsAny(field, " \"") {
			field, rest = "", err.Error()
		}
		out[field] = rest
	}
	collect(err)
	return out
}

// passwordFault returns the message of a login form for an error; "" for other errors.
func (v *visit) passwordFault(err error) string {
	switch {
	case errors.Is(err, account.ErrPassword):
		return v.t("Name or password is wrong.")
	case errors.Is(err, account.ErrLimited):
		return v.t("Too many tries. Again in 5 minutes.")
	case errors.Is(err, account.ErrBusy):
		return v.t("Too many people log in just now. Try again in a moment.")
	}
	return ""
}

package console

import (
	"encoding"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"dmarcd/internal/account"
	"dmarcd/internal/api"
	"dmarcd/internal/errkind"
	"dmarcd/internal/text"
)

// apiPath is the path of the operations.
const apiPath = "/api/v1/"

// problem is an error in the form of RFC 9457.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
}

// errLogin: a session or token is required.
var errLogin = errkind.New(errkind.NotAllowed, "log in, or send an API token as \"Authorization: Bearer\"")

// published returns the operations for programs: all but those whose answers only our own processes
// exchange.
func published() []api.Info {
	var out []api.Info
	for _, op := range api.Table() {
		i := op.Info()
		if _, binary := reflect.New(i.Out).Interface().(encoding.BinaryUnmarshaler); !binary || i.Out == reflect.TypeFor[time.Time]() {
			out = append(out, i)
		}
	}
	return out
}

// serveAPI runs an operation for a program.
func (s *site) serveAPI(w http.ResponseWriter, r *http.Request) {
	g, _ := r.Context().Value(clientKey{}).(gated)
	v := &visit{site: s, w: w, r: r, client: g, guest: g.guest, lang: english}
	if err := v.serveAPI(); err != nil {
		v.problem(err)
	}
}

func (v *visit) serveAPI() error {
	if v.client.trouble != nil {
		return v.client.trouble
	}
	if err := v.whoAsks(); err != nil {
		return err
	}
	if v.viewer.Role == "" {
		v.w.Header().Set("WWW-Authenticate", `Bearer realm="dmarcd"`)
		return errLogin
	}
	name := strings.TrimPrefix(v.r.URL.Path, apiPath)
	for _, i := range published() {
		if i.Name == name {
			return v.answerAPI(&i)
		}
	}
	return errkind.Errorf(errkind.NotFound, "there is no operation %q; /api/openapi.json describes them", text.Cut(name, 100))
}

// whoAsks reads the token or the session.
func (v *visit) whoAsks() error {
	field := v.r.Header.Get("Authorization")
	if field == "" || v.guest {
		return v.whoVisits()
	}
	scheme, secret, _ := strings.Cut(field, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return nil
	}
	c, u, err := v.accounts.Token(v.r.Context(), strings.TrimSpace(secret), v.client.address)
	switch {
	case errors.Is(err, account.ErrNoCredential):
		return nil
	case err != nil:
		return err
	}
	v.user, v.viewer = u, api.ViewerOf(&u, &c, v.client.address.String())
	return nil
}

// answerAPI reads the request and writes the answer.
func (v *visit) answerAPI(i *api.Info) error {
	if i.Large { // few are in memory at a time
		if err := v.takeTurn(); err != nil {
			return err
		}
		defer v.leave()
	}
	request, err := v.apiRequest(i)
	if err != nil {
		return err
	}
	if !i.Large {
		if err := v.takeTurn(); err != nil { // as pages do
			return err
		}
		defer v.leave()
	}
	if !i.Streams {
		answer, err := v.Service.Answer(v.ctx(), v.viewer, i.Name, request)
		if err != nil {
			return err
		}
		return v.writeJSON(answer)
	}
	_ = http.NewResponseController(v.w).SetWriteDeadline(time.Now().Add(exportTime)) // as long as before where it cannot be set
	begun := false
	write := json.NewEncoder(v.w)
	err = v.Service.AnswerEach(v.ctx(), v.viewer, i.Name, request, func(item any) error {
		if !begun {
			begun = true
			v.w.Header().Set("Content-Type", "application/x-ndjson")
		}
		return write.Encode(item)
	})
	switch {
	case err != nil && begun:
		return v.cutOff(err)
	case err == nil && !begun:
		v.w.Header().Set("Content-Type", "application/x-ndjson")
	}
	return err
}

// errMethod: the operation requires another method.
var errMethod = errkind.New(errkind.BadRequest, "an operation that changes something is asked by POST")

// apiRequest returns the request as JSON: the body of a POST, the query of a GET.
func (v *visit) apiRequest(i *api.Info) (json.RawMessage, error) {
	switch v.r.Method {
	case http.MethodGet, http.MethodHead:
		if i.Changes {
			return nil, errMethod
		}
		return queryAsJSON(v.r.URL.Query(), i.In)
	case http.MethodPost:
	default:
		return nil, errMethod
	}
	if kind, _, err := mime.ParseMediaType(v.r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return nil, errkind.Errorf(errkind.BadRequest, "Content-Type: expected application/json")
	}
	most := int64(maxForm)
	if i.Large {
		most = api.MaxRequest
	}
	if i.Large && v.admin() {
		most = api.MaxLarge
		_ = http.NewResponseController(v.w).SetReadDeadline(time.Now().Add(uploadTime)) // as long as before where it cannot be set
		_ = http.NewResponseController(v.w).SetWriteDeadline(time.Now().Add(2 * uploadTime))
	}
	body, err := io.ReadAll(http.MaxBytesReader(v.w, v.r.Body, most))
	if err != nil {
		return nil, errkind.Errorf(errkind.BadRequest, "the request cannot be read: %w", err)
	}
	if len(body) == 0 {
		body = []byte("{}")
	}
	return body, nil
}

// queryAsJSON converts the keys of a query, whose names may have "-" for "_", to a request.
func queryAsJSON(q url.Values, in reflect.Type) (json.RawMessage, error) {
	kinds := map[string]reflect.Type{}
	fieldsOf(in, kinds)
	out := map[string]any{}
	for key, values := range q {
		name := dashed(key)
		kind, ok := kinds[name]
		if !ok {
			return nil, errkind.Errorf(errkind.BadRequest, "%s: there is no such key", text.Cut(key, 100))
		}
		value, err := queryValue(kind, values)
		if err != nil {
			return nil, errkind.Errorf(errkind.BadRequest, "%s: %w", key, err)
		}
		out[name] = value
	}
	return json.Marshal(out)
}

func queryValue(kind reflect.Type, values []string) (any, error) {
	for kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	last := values[len(values)-1]
	if kind.Implements(reflect.TypeFor[encoding.TextMarshaler]()) {
		return last, nil
	}
	switch kind.Kind() {
	case reflect.String:
		return last, nil
	case reflect.Bool:
		return strconv.ParseBool(last)
	case reflect.Int, reflect.Int64:
		return strconv.ParseInt(last, 10, 64)
	case reflect.Slice:
		var out []any
		for _, value := range values {
			one, err := queryValue(kind.Elem(), []string{value})
			if err != nil {
				return nil, err
			}
			out = append(out, one)
		}
		return out, nil
	}
	return nil, errors.New("send the request by POST")
}

// fieldsOf collects the types of a struct's fields by their names in JSON.
func fieldsOf(t reflect.Type, into map[string]reflect.Type) {
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case f.Anonymous && name == "" && f.Type.Kind() == reflect.Struct:
			fieldsOf(f.Type, into)
		case f.IsExported() && name != "" && name != "-":
			into[name] = f.Type
		}
	}
}

// problem answers with an error.
func (v *visit) problem(err error) {
	if v.r.Context().Err() != nil && errors.Is(err, v.r.Context().Err()) {
		return // nobody waits
	}
	p := problem{Type: "about:blank", Status: statusOf(err, v.viewer), Detail: text.Lines(text.Error(err), maxErrorText)}
	switch {
	case errors.Is(err, errLogin):
		p.Status = http.StatusUnauthorized
	case errors.Is(err, errMethod):
		p.Status = http.StatusMethodNotAllowed
	case p.Status == http.StatusNotFound && v.viewer.Limited():
		p.Detail = "" // another's is as if it did not exist
	case p.Status >= http.StatusInternalServerError:
		v.Log.Warn("an operation failed", "path", text.Line(v.r.URL.Path, 200), "error", err.Error())
		if v.viewer.Limited() || v.stranger() {
			p.Detail = ""
		}
	}
	p.Title = http.StatusText(p.Status)
	v.w.Header().Set("Content-Type", "application/problem+json")
	v.w.WriteHeader(p.Status)
	_ = json.NewEncoder(v.w).Encode(p) // a client that went away is no concern of ours
}

package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"dmarcd/internal/account"
	"dmarcd/internal/account/accounttest"
	"dmarcd/internal/api"
	"dmarcd/internal/dns"
	"dmarcd/internal/dns/dnstest"
	"dmarcd/internal/errkind"
	"dmarcd/internal/memory"
	"dmarcd/internal/policy"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/report/outgoing"
	"dmarcd/internal/settings"
)

// Whatever the fake says of one tenant holds that tenant's mark.
const (
	mine    = "ours.example"
	foreign = "foreign.example"
)

var noon = time.Date(2026, 3, 4, 12, 0, 0, 0, time.UTC)

// TestOperationsTellOfThemselves holds each operation to what HTTP, the socket and the
// documentation need of it.
func TestOperationsTellOfThemselves(t *testing.T) {
	names := map[string]bool{}
	for _, op := range api.Table() {
		i := op.Info()
		t.Run(i.Name, func(t *testing.T) {
			if !regexp.MustCompile(`^[a-z]+(\.[a-z_]+)?$`).MatchString(i.Name) || names[i.Name] {
				t.Errorf("the name is not its own, or not of the form thing.verb")
			}
			names[i.Name] = true
			if !strings.HasSuffix(i.Summary, ".") {
				t.Errorf("the summary %q is no sentence", i.Summary)
			}
			if i.Role != api.RoleViewer && i.Role != api.RoleAdmin {
				t.Errorf("role %q", i.Role)
			}
			if i.Changes && i.Role != api.RoleAdmin && !i.Own {
				t.Errorf("it changes something, and is not for admins alone")
			}
			if reflect.TypeOf(i.Example) != i.In {
				t.Errorf("the example is a %T, not a %s", i.Example, i.In)
			}
			jsonNames(t, i.In, map[reflect.Type]bool{})
		})
	}
}

// jsonNames holds the fields of a request to names in snake_case.
func jsonNames(t *testing.T, typ reflect.Type, seen map[reflect.Type]bool) {
	for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
		typ = typ.Elem()
	}
	if typ.Kind() != reflect.Struct || seen[typ] || typ == reflect.TypeFor[time.Time]() {
		return
	}
	seen[typ] = true
	for f := range typ.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.IsExported() && !f.Anonymous && !regexp.MustCompile(`^([a-z0-9_]+|-)$`).MatchString(name) {
			t.Errorf("%s.%s has the name %q in JSON", typ, f.Name, name)
		}
		jsonNames(t, f.Type, seen)
	}
}

// TestViewersSeeTheirDomains asks each operation about two tenants: as somebody who may
// see one of them, who must learn nothing of the other, and as one who may see all, so
// that the fake is known to have something to hide.
func TestViewersSeeTheirDomains(t *testing.T) {
	s := twoTenants()
	limited := api.Viewer{User: "aiko", Role: api.RoleViewer, Domains: []dns.Name{dns.MustParse(mine)}}
	for _, op := range api.Table() {
		i := op.Info()
		t.Run(i.Name, func(t *testing.T) {
			everything, err := askAbout(t, s, asked(api.Operator(), i), i, foreign)
			if err != nil {
				t.Fatalf("asked by the operator: %v", err)
			}
			v := limited
			v.Role = i.Role
			got, err := askAbout(t, s, v, i, mine)
			switch i.Scope {
			case api.ScopeHost:
				if errkind.Of(err) != errkind.NotAllowed {
					t.Errorf("a limited viewer is not refused: %v", err)
				}
			case api.ScopeDomains:
				if err != nil || !strings.Contains(got, mine) || strings.Contains(got, foreign) {
					t.Errorf("a limited viewer gets %v, %s", err, got)
				}
				if !strings.Contains(everything, foreign) {
					t.Errorf("not covered: the example asks for nothing of another tenant, or the two tenants have no data for it; everything is %s", everything)
				}
				if theirs, err := askAbout(t, s, v, i, foreign); namesDomain(t, i) && (err == nil || strings.Contains(theirs, foreign)) {
					t.Errorf("a limited viewer who asks about another tenant is not refused: %s", theirs)
				}
			case api.ScopeNone:
				if err != nil || strings.Contains(everything, foreign) || strings.Contains(everything, mine) {
					t.Errorf("it tells of domains: %v, %s", err, everything)
				}
			default:
				t.Errorf("scope %q", i.Scope)
			}
			if _, err := ask(t, s, api.Viewer{}, i); errkind.Of(err) != errkind.NotAllowed {
				t.Errorf("nobody is not refused: %v", err)
			}
			if _, err := ask(t, s, asked(api.Viewer{Role: api.RoleViewer}, i), i); (errkind.Of(err) == errkind.NotAllowed) != (i.Role == api.RoleAdmin) {
				t.Errorf("a viewer, where the role is %s: %v", i.Role, err)
			}
		})
	}
}

// exampleDomain stands in an example for the domain that is asked about.
const exampleDomain = `"example.org"`

func namesDomain(t *testing.T, i api.Info) bool {
	t.Helper()
	return bytes.Contains(exampleOf(t, i), []byte(exampleDomain))
}

func exampleOf(t *testing.T, i api.Info) []byte {
	t.Helper()
	request, err := json.Marshal(i.Example)
	if err != nil {
		t.Fatal(err)
	}
	return request
}

// ask returns the answer to an operation's example as JSON.
func ask(t *testing.T, s *api.Service, v api.Viewer, i api.Info) (string, error) {
	t.Helper()
	return askAbout(t, s, v, i, mine)
}

// askAbout is ask, with the domain in place of the one that the example names.
func askAbout(t *testing.T, s *api.Service, v api.Viewer, i api.Info, domain string) (string, error) {
	t.Helper()
	request := bytes.ReplaceAll(exampleOf(t, i), []byte(exampleDomain), []byte(`"`+domain+`"`))
	if s.Accounts != nil { // as fresh as the rest
		s.Accounts = twoAccounts(t)
	}
	var err error
	var out bytes.Buffer
	write := json.NewEncoder(&out)
	if i.Streams {
		err = s.AnswerEach(t.Context(), v, i.Name, request, write.Encode)
	} else {
		var answer any
		if answer, err = s.Answer(t.Context(), v, i.Name, request); err == nil {
			err = write.Encode(answer)
		}
	}
	if err != nil {
		return "", err
	}
	return out.String(), nil
}

// asked is the viewer, as a user where the operation is about their own account.
func asked(v api.Viewer, i api.Info) api.Viewer {
	if i.Own {
		v.User = "aiko"
	}
	return v
}

// twoAccounts are users of the console.
func twoAccounts(t *testing.T) *account.Service {
	t.Helper()
	store := accounttest.New()
	for _, name := range []string{"aiko", "carl"} {
		if err := store.AddUser(t.Context(), account.User{Name: name, Role: account.RoleViewer, Hash: passwordHash}); err != nil {
			t.Fatal(err)
		}
	}
	return account.New(store, func() time.Time { return noon })
}

// passwordHash is that of "", which no user can choose.
const passwordHash = "$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$8k3biCZjcs22ndB47oVD9ke6dJx62UwO1NwzhMZ+Wgs"

// twoTenants is a service that has something to tell of both.
func twoTenants() *api.Service {
	config := settings.Default("mx.example.org")
	read, _, err := settings.ReadTexts([]settings.Text{{Path: "/etc/dmarcd/policy.yaml", Data: []byte(
		"domains:\n  " + mine + ": {mode: monitor}\n  " + foreign + ": {dmarc: {exceptions: [192.0.2.7]}}\n")}})
	if err != nil {
		panic(err)
	}
	config.Policy = *read
	config.Analysis.Domains = []dns.Name{dns.MustParse(mine), dns.MustParse(foreign)}
	return &api.Service{
		Settings: func() *settings.Settings { return config },
		Memory:   tenantMemory{},
		Held:     tenantMemory{},
		Policies: tenantMemory{},
		Daemon:   tenantDaemon{},
		Reports:  tenantReports{},
		Received: tenantReceived(),
		Intake:   tenantIntake{},
		DNS:      ttlZone{dnstest.MustZone("")},
		Accounts: account.New(accounttest.New(), time.Now),
		Now:      func() time.Time { return noon },
	}
}

// tenantDaemon runs.
type tenantDaemon struct{}

func (tenantDaemon) Status(context.Context) api.Status { return api.Status{} }

// tenantMemory has mail to one tenant, to the other, and to both.
type tenantMemory struct{}

func (tenantMemory) records() []*memory.Record {
	var out []*memory.Record
	for n, domains := range [][]string{{mine}, {foreign}, {foreign, mine}} {
		r := &memory.Record{
			At: noon.Add(time.Duration(n) * time.Second), QueueID: "4XyZ1w5Qk2z1", MessageID: "m@sender.example", Helo: "mail.sender.example",
			Redirect: "quarantine@" + domains[0], Added: []string{"X-TM-Original-Recipients: a@" + domains[0]}, Mixed: "strictest",
		}
		for i, domain := range domains {
			d := policy.Decision{Action: policy.Reject, Would: policy.Reject, Reason: policy.ReasonPolicy}
			d.Reply.Text = "refused for " + domain
			r.Outcomes = append(r.Outcomes, memory.Outcome{Domains: []dns.Name{dns.MustParse(domain)}, Decision: d, File: domain + ".yaml", Line: i + 1})
			r.Recipients = append(r.Recipients, "a@"+domain)
		}
		r.Decision = r.Outcomes[0].Decision
		out = append(out, r)
	}
	return out
}

func (m tenantMemory) Find(context.Context, string, int) (out []memory.Record, err error) {
	for _, r := range m.records() {
		out = append(out, *r)
	}
	return out, nil
}

func (m tenantMemory) Search(context.Context, memory.Query) (out memory.Page, err error) {
	for i, r := range m.records() {
		r.Hold = "held for " + r.Outcomes[0].Domains[0].String()
		out.Found = append(out.Found, memory.Found{Key: int64(10 - i), Record: r, Held: true})
	}
	return out, nil
}

func (tenantMemory) CountHeld(context.Context, string) (int64, time.Time, error) { return 3, noon, nil }
func (tenantMemory) Unhold(context.Context, int64) (bool, error)                 { return true, nil }

func (tenantMemory) NotePolicy(context.Context, string, time.Time, policy.Source) error { return nil }

func (tenantMemory) PolicyHistory(context.Context, int64, int) ([]memory.PolicyUse, error) {
	return nil, nil
}

func (tenantMemory) PolicySource(context.Context, policy.SourceID) (policy.Source, error) {
	return policy.Source{{Name: "policy.yaml", Text: "# of " + foreign + "\n"}}, nil
}

func (m tenantMemory) Records(_ context.Context, _, _ time.Time, yield func(*memory.Record) error) error {
	for _, r := range m.records() {
		if err := yield(r); err != nil {
			return err
		}
	}
	return nil
}

func (m tenantMemory) Count(context.Context, time.Time, time.Time) (int64, error) {
	return int64(len(m.records())), nil
}

// tenantIntake takes nothing.
type tenantIntake struct{}

func (tenantIntake) Ingest(context.Context, []api.IngestUnit, bool) ([]api.Ingested, error) {
	return nil, nil
}

func (tenantIntake) Reprocess(context.Context, int64) (out api.Reprocessed, err error) {
	return out, nil
}

func (tenantIntake) Feeds() []analysis.FeedState {
	return []analysis.FeedState{{Name: "folder", Host: mine}, {Name: "folder", Host: foreign}}
}

// tenantReports has one report.
type tenantReports struct{ outgoing.Service }

func (tenantReports) List(context.Context, outgoing.Filter) (out outgoing.Listed, err error) {
	return out, nil
}

func (tenantReports) Show(context.Context, outgoing.ShowRequest) (out outgoing.Shown, err error) {
	return out, nil
}

func (tenantReports) Send(context.Context, outgoing.SendRequest) (out outgoing.Sending, err error) {
	return out, nil
}

func (tenantReports) Retry(context.Context, outgoing.RetryRequest) (out outgoing.Retried, err error) {
	return out, nil
}

func (tenantReports) Suppress(context.Context, outgoing.SuppressRequest) (out outgoing.Suppression, err error) {
	return out, nil
}

func (tenantReports) Unsuppress(context.Context, outgoing.UnsuppressRequest) (out outgoing.Unsuppressed, err error) {
	return out, nil
}

func (tenantReports) Suppressions(context.Context, outgoing.SuppressionsRequest) (out outgoing.SuppressionPage, err error) {
	return out, nil
}

func (tenantReports) State(context.Context, outgoing.StateRequest) (out outgoing.Overview, err error) {
	return out, nil
}

// TestMissingParts asks a service that has nothing.
func TestMissingParts(t *testing.T) {
	config := settings.Default("mx.example.org")
	s := &api.Service{Settings: func() *settings.Settings { return config }, Now: time.Now}
	for _, op := range api.Table() {
		if _, err := ask(t, s, api.Operator(), op.Info()); err != nil && errkind.Of(err) != errkind.Trouble {
			t.Errorf("%s: kind %s: %v", op.Info().Name, errkind.Of(err), err)
		}
	}
}

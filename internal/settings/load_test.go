package settings

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"dmarcd/internal/dns"
	"dmarcd/internal/policy"
	"dmarcd/internal/yamldoc"
)

const testHost = "mx.example.org"

// unplaced is settings without what differs between equal files: where they are.
func unplaced(s *Settings) *Settings {
	out := *s
	out.File, out.Text, out.PolicyFile = "", Text{}, ""
	out.Policy = *unplacedPolicy(&s.Policy)
	return &out
}

func unplacedPolicy(p *Policy) *Policy {
	out := *p
	out.DomainsDir, out.Texts, out.ID, out.origins, out.folders = "", nil, policy.SourceID{}, nil, nil // what is shown holds the entries of all files
	out.Tests = slices.Clone(p.Tests)
	for i := range out.Tests {
		out.Tests[i].At = Place{}
	}
	return &out
}

// loadText loads settings from the text of both files.
func loadText(t testing.TB, daemon, policy string) (*Settings, []Fault, error) {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "policy.yaml"), policy)
	path := filepath.Join(dir, "dmarcd.yaml")
	write(t, path, daemon)
	return Load(path, testHost)
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func mustPolicy(t testing.TB, text string) *Policy {
	t.Helper()
	p, _, err := ParsePolicy("policy.yaml", "", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestEmptyFilesAreTheDefault(t *testing.T) {
	s, warnings, err := loadText(t, "", "")
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	if got, want := unplaced(s), unplaced(Default(testHost)); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// TestShippedFiles holds configs/ to its promise: every key, with its default.
func TestShippedFiles(t *testing.T) {
	dir := filepath.Join("..", "..", "configs")
	s, warnings, err := Load(filepath.Join(dir, daemonFile), testHost)
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	if got, want := unplaced(s), unplaced(Default(testHost)); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for name, keys := range map[string][]string{daemonFile: daemonSchema().keys, policyFile: policySchema().keys} {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		root, fault := yamldoc.Parse(data, maxValues)
		if fault != nil {
			t.Fatal(fault)
		}
		for _, k := range keys {
			if strings.Contains(k, "[]") || strings.Contains(k, "*") {
				last := k[strings.LastIndexByte(k, '.')+1:]
				if !strings.Contains(string(data), last) {
					t.Errorf("%s: %s is not even mentioned", name, k)
				}
				continue
			}
			n := root
			for step := range strings.SplitSeq(k, ".") {
				n = child(n, step)
			}
			if n == nil {
				t.Errorf("%s: the key %s is missing", name, k)
			}
		}
	}
}

// TestShowLoadsBack prints settings and loads what was printed.
func TestShowLoadsBack(t *testing.T) {
	full, _, err := Load(filepath.Join("testdata", "daemon", "full.good.yaml"), testHost)
	if err != nil {
		t.Fatal(err)
	}
	lists, _, err := Load(filepath.Join("testdata", "daemon", "empty.good.yaml"), testHost)
	if err != nil {
		t.Fatal(err)
	}
	p, _, err := LoadPolicy(filepath.Join("testdata", "policy", "lists.good.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	lists.Policy = *p
	for name, s := range map[string]*Settings{"default": Default(testHost), "full": full, "lists": lists} {
		t.Run(name, func(t *testing.T) {
			var daemon, policy bytes.Buffer
			shown := *s
			shown.PolicyFile = "policy.yaml"
			if err := shown.Show(&daemon); err != nil {
				t.Fatal(err)
			}
			if err := s.Policy.Show(&policy); err != nil {
				t.Fatal(err)
			}
			again, _, err := loadText(t, daemon.String(), policy.String())
			if err != nil {
				t.Fatalf("%v\n%s\n%s", err, &daemon, &policy)
			}
			if !reflect.DeepEqual(unplaced(again), unplaced(s)) {
				t.Errorf("got  %+v\nwant %+v", unplaced(again), unplaced(s))
			}
		})
	}
}

// TestFullFilesSetEveryField walks the settings: a field that is the same in the
// full files as by default has no key of its own, or shares another's.
func TestFullFilesSetEveryField(t *testing.T) {
	full, _, err := Load(filepath.Join("testdata", "daemon", "full.good.yaml"), testHost)
	if err != nil {
		t.Fatal(err)
	}
	same := map[string]bool{
		"Settings.Policy.Default.DMARC.Enabled": true, // off, the rest would not be judged
		"Settings.Policy.Texts":                 true, // likewise
		"Settings.Notify.TemplateFile":          true, // the text is written out
		"Settings.Policy.ID":                    true, // follows from Texts
	}
	var walk func(path string, a, b reflect.Value)
	walk = func(path string, a, b reflect.Value) {
		if a.Kind() == reflect.Pointer {
			a, b = a.Elem(), b.Elem()
		}
		if strings.HasPrefix(a.Type().PkgPath(), "dmarcd/internal/settings") || strings.HasPrefix(a.Type().PkgPath(), "dmarcd/internal/policy") {
			if a.Kind() == reflect.Struct && a.NumField() > 0 && a.Type().Field(0).IsExported() && a.Type() != reflect.TypeFor[policy.DomainList]() {
				for i := range a.NumField() {
					if f := a.Type().Field(i); f.IsExported() {
						walk(path+"."+f.Name, a.Field(i), b.Field(i))
					}
				}
				return
			}
		}
		if reflect.DeepEqual(a.Interface(), b.Interface()) && !same[path] {
			t.Errorf("%s is not set by the full files", path)
		}
	}
	a, b := reflect.ValueOf(*full), reflect.ValueOf(*Default(testHost))
	walk("Settings", a, b)
}

// TestEachKeyIsItsOwn sets one key after the other to its value in the full
// files: it must change what is shown of this key, and of nothing else.
func TestEachKeyIsItsOwn(t *testing.T) {
	leaves := func(keys []string) []string {
		return slices.DeleteFunc(slices.Clone(keys), func(k string) bool {
			return strings.ContainsAny(k, "[*") || k == "policy" || k == "domains" ||
				slices.ContainsFunc(keys, func(o string) bool { return strings.HasPrefix(o, k+".") && !strings.ContainsAny(o, "[*") })
		})
	}
	differences := func(a, b *yaml.Node, keys []string) []string {
		var out []string
		for _, k := range keys {
			x, y := a, b
			for step := range strings.SplitSeq(k, ".") {
				x, y = child(x, step), child(y, step)
			}
			if !sameNodes(x, y) {
				out = append(out, k)
			}
		}
		return out
	}
	read := func(name string) *yaml.Node {
		data, err := os.ReadFile(filepath.Join("testdata", filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		root, fault := yamldoc.Parse(data, maxValues)
		if fault != nil {
			t.Fatal(fault)
		}
		return root
	}
	only := func(root *yaml.Node, key string) *yaml.Node {
		steps := strings.Split(key, ".")
		n := root
		for _, s := range steps {
			n = child(n, s)
		}
		for _, s := range slices.Backward(steps) {
			m := mapping()
			m.Content = []*yaml.Node{plain(s), n}
			n = m
		}
		return n
	}

	full, schema := read("daemon/full.good.yaml"), daemonSchema()
	for _, k := range leaves(schema.keys) {
		s := Default(testHost)
		into(newDecoder("", ""), schema, only(full, k), s)
		if got := differences(schema.show(*s), schema.show(*Default(testHost)), leaves(schema.keys)); !slices.Equal(got, []string{k}) {
			t.Errorf("setting %s changes %q", k, got)
		}
	}
	full, drafts := read("policy/full.good.yaml"), policySchema()
	for _, k := range leaves(drafts.keys) {
		if k == "default.dmarc.enabled" || k == "domains_dir" {
			continue // the full file leaves the one on, and the other is shown as the entries that it names
		}
		d := policyDraft{Policy: *defaultPolicy()}
		into(newDecoder("", ""), drafts, only(full, k), &d)
		shown := d.finish().draft()
		if got := differences(drafts.show(shown), drafts.show(defaultPolicy().draft()), leaves(drafts.keys)); !slices.Equal(got, []string{k}) {
			t.Errorf("setting %s changes %q", k, got)
		}
	}
}

// TestTablesNameKeys finds misspelt keys in the tables beside the schema.
func TestTablesNameKeys(t *testing.T) {
	known := map[string]bool{}
	for _, k := range append(daemonSchema().keys, policySchema().keys...) {
		if rest, ok := strings.CutPrefix(k, "domains.*."); ok {
			k = rulesStep + "." + rest
		}
		known[k] = true
	}
	for k := range notBuilt() {
		if !known[k] {
			t.Errorf("notBuilt: there is no key %s", k)
		}
	}
	for _, k := range restartKeys() {
		if !known[strings.Join(k, ".")] {
			t.Errorf("restartKeys: there is no key %s", k)
		}
	}
}

func TestUnreadableFiles(t *testing.T) {
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret.yaml")
	write(t, secret, "")
	if err := os.Chmod(secret, 0); err != nil {
		t.Fatal(err)
	}
	cases := []struct{ name, path, want string }{
		{"missing", filepath.Join(dir, "none.yaml"), "none.yaml: there is no such file; create it or name another"},
		{"folder", dir, ": this is a folder; name a file in it"},
		{"device", os.DevNull, os.DevNull + ": this is not a regular file; put the text into one and name that"},
		{"below a file", filepath.Join(secret, "x.yaml"), "x.yaml: cannot be read: not a directory"},
	}
	if os.Getuid() != 0 {
		cases = append(cases, struct{ name, path, want string }{"forbidden", secret, "permission denied; let the user with id"})
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, _, err := Load(c.path, testHost)
			if s != nil || err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("Load: %v, want one line with %q", err, c.want)
			}
			if p, _, err := LoadPolicy(c.path); p != nil || err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("LoadPolicy: %v, want %q", err, c.want)
			}
		})
	}
	t.Run("policy left out and missing", func(t *testing.T) {
		path := filepath.Join(dir, "dmarcd.yaml")
		write(t, path, "log: {level: warn}\npolicy:\n")
		s, _, err := Load(path, testHost)
		if err != nil || len(s.Policy.Texts) > 0 || s.PolicyFile != "policy.yaml" || s.Policy.Default.DMARC.Actions.Reject != policy.Reject {
			t.Errorf("%v: %+v", err, s)
		}
		write(t, path, "policy: policy.yaml\n")
		want := path + ":1:9: policy: " + filepath.Join(dir, "policy.yaml") + ": there is no such file; create it or name another"
		if _, _, err := Load(path, testHost); err == nil || err.Error() != want {
			t.Errorf("written and missing: got  %v\nwant %s", err, want)
		}
	})
}

func TestUnusableHostName(t *testing.T) {
	for _, host := range []string{"", "my host", "mx\r\nX: y"} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, "policy.yaml"), "")
		path := filepath.Join(dir, "dmarcd.yaml")
		write(t, path, "")
		_, _, err := Load(path, host)
		if err == nil || !strings.Contains(err.Error(), "authserv_id: the name of this host") || strings.ContainsAny(err.Error(), "\r\n") {
			t.Errorf("Load on host %q: %v", host, err)
		}
		if _, err := Builtin(host, "/tmp/x"); err == nil {
			t.Errorf("Builtin on host %q: no error", host)
		}
		write(t, path, "authserv_id: mx.example.org\nnotify: {from: a@example.org}\n")
		if _, _, err := Load(path, host); err != nil {
			t.Errorf("Load on host %q with an id of its own: %v", host, err)
		}
	}
}

func TestBuiltin(t *testing.T) {
	s, err := Builtin(testHost, "/home/admin/.local/state/dmarcd/")
	if err != nil {
		t.Fatal(err)
	}
	if s.StateDir != "/home/admin/.local/state/dmarcd" || s.File != "" || s.Policy.Mode != policy.Enforce {
		t.Errorf("StateDir %q, File %q, Mode %q", s.StateDir, s.File, s.Policy.Mode)
	}
}

func TestPath(t *testing.T) {
	s := &Settings{File: "/etc/dmarcd/dmarcd.yaml"}
	for name, want := range map[string]string{"": "", "a.pem": "/etc/dmarcd/a.pem", "/srv/a.pem": "/srv/a.pem", "../a.pem": "/etc/a.pem"} {
		if got := s.Path(name); got != want {
			t.Errorf("Path(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestCheckTellsFilesApart(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		write(t, path, text)
		return path
	}
	pol := file("policy.yaml", "mode: watch\n")
	daemon := file("dmarcd.yaml", "log: {level: loud}\n")
	odd := file("new.yaml", "default: {}\nlog: {}\nmode: monitor\n")
	empty := file("my-policy.yaml", "")
	syntax := file("other-policy.yaml", "a: b: c\n")
	cases := []struct {
		name  string
		paths []string
		want  []string
	}{
		{"a daemon file brings its policy", []string{daemon}, []string{"log.level", "mode"}},
		{"no fault is told twice", []string{daemon, pol}, []string{"log.level", "mode"}},
		{"a policy file alone", []string{pol}, []string{"mode"}},
		{"most keys decide", []string{odd}, []string{"log"}},
		{"an empty file by its name", []string{empty}, nil},
		{"a broken file by its name", []string{syntax}, []string{""}},
		{"a missing file", []string{filepath.Join(dir, "gone")}, []string{""}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := Check(testHost, time.Now(), c.paths...)
			faults, _ := err.(Faults)
			var got []string
			for _, f := range faults {
				got = append(got, f.Key)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("faults at %q, want %q: %v", got, c.want, err)
			}
		})
	}
}

func TestRestarts(t *testing.T) {
	base, _, err := loadText(t, "", "")
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name, daemon string
		want         []string
	}{
		{"nothing", "", nil},
		{"what a reload takes over", "log: {level: debug}\nresolver: {budget: 5s}\ntrusted_networks: []\nlimits: {signatures: 3}", nil},
		{"listen", "listen: [inet:1@127.0.0.1]", []string{"listen"}},
		{"another mode", "listen: [{socket: unix:/x, mode: '0600'}]", []string{"listen"}},
		{"several", "state_dir: /x\nstore: sqlite:y\nhttp: {metrics_listen: ':9'}\nlimits: {connections: 3}", []string{"state_dir", "store", "limits.connections", "http"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, _, err := loadText(t, c.daemon, "")
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range Restarts(base, s) {
				got = append(got, r.Key)
				if r.Running == "" || r.Running == r.Loaded {
					t.Errorf("%s: %q now, then %q", r.Key, r.Running, r.Loaded)
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// TestLimits loads oversized files: each is reported in bounded time and length.
func TestLimits(t *testing.T) {
	many := func(n int, line func(i int) string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(line(i))
		}
		return b.String()
	}
	cases := []struct{ name, text, want string }{
		{"values", "managed: [" + strings.Repeat("a,", maxValues) + "]", "the file holds more than 4194304 values"},
		{"laughs", "managed: &a [x]\ndefault: &b [*a, *a]\ndomains: [*b, *b]", "expected a mapping, found a list"},
		{"itself", "domains: &d {a.example: *d}", "domains.a.example.a.example: unknown key"},
		{"depth", strings.Repeat("[", 20000), "exceeded max depth"},
		{"nested keys", "default: " + strings.Repeat("{dmarc: ", 5000) + strings.Repeat("}", 5000), "default.dmarc.dmarc: unknown key"},
		{"faults", many(5000, func(i int) string { return fmt.Sprintf("k%d: x\n", i) }), "and 4000 more"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, _, err := ParsePolicy("policy.yaml", "", []byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %.300v, want %q", err, c.want)
			}
			if faults, _ := err.(Faults); len(faults) > maxFaults+1 {
				t.Errorf("%d faults", len(faults))
			}
		})
	}
	t.Run("aliases", func(t *testing.T) {
		root, fault := yamldoc.Parse([]byte("default: {dmarc: {senders: &s ["+strings.Repeat("a,", 100)+"]}}\ndomains:\n"+
			many(100, func(i int) string { return fmt.Sprintf("  d%d.example: {dmarc: {senders: *s}}\n", i) })), maxValues)
		if fault != nil {
			t.Fatal(fault)
		}
		for _, c := range []struct{ values, faults int }{{10_000, 1}, {11_000, 0}} {
			d := newDecoder("policy.yaml", "")
			d.values = c.values
			into(d, policySchema(), root, &policyDraft{Policy: *defaultPolicy()})
			if got := len(d.faults.list); got != c.faults {
				t.Errorf("with %d values allowed: %d faults, want %d", c.values, got, c.faults)
			}
		}
	})
	t.Run("warnings", func(t *testing.T) {
		text := "default: {dmarc: {exceptions: [192.0.2.1]}}\ndomains:\n" + many(500, func(i int) string { return fmt.Sprintf("  d%d.example: {}\n", i) })
		_, warnings, err := ParsePolicy("policy.yaml", "", []byte(text))
		if err != nil || len(warnings) != maxSimilar || !strings.HasSuffix(warnings[maxSimilar-1].Problem, "(and so in 490 more places)") {
			t.Errorf("%v, %d warnings: %v", err, len(warnings), Faults(warnings))
		}
	})
	t.Run("size", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "policy.yaml")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := f.Truncate(maxFileBytes + 1); err != nil {
			t.Fatal(err)
		}
		if _, _, err := LoadPolicy(path); err == nil || !strings.Contains(err.Error(), "larger than 64 MiB") {
			t.Errorf("error %v", err)
		}
	})
}

func TestFilesAreNotOpenedWithoutAFolder(t *testing.T) {
	_, _, err := ParsePolicy("upload", "", []byte("default: {dmarc: {senders: ['file:/etc/hostname']}}"))
	if err == nil || !strings.Contains(err.Error(), "files cannot be named here") {
		t.Errorf("error %v", err)
	}
}

func TestListFilesAreNamed(t *testing.T) {
	p, _, err := LoadPolicy(filepath.Join("testdata", "policy", "lists.good.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range p.Files() {
		got = append(got, filepath.Base(f))
	}
	if want := []string{"exceptions.txt", "partners.txt"}; !slices.Equal(got, want) {
		t.Errorf("Files %q, want %q", got, want)
	}
	r := p.Default
	for name, want := range map[string]bool{"bank.example": true, "a.bank.example": true, "shop.example": true, "more.example": true, "a.shop.example": false} {
		if got := r.DMARC.Senders.Match(dns.MustParse(name)); got != want {
			t.Errorf("senders match %s: %v", name, got)
		}
	}
	if _, ok := r.DMARC.EnforcedPeers.Match(dns.MustParse("a.bank.example")); !ok {
		t.Error("a.bank.example is not an enforced peer")
	}
}

package house

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// metric is a row of docs/metrics.md, the source of truth for what dmarcd counts.
type metric struct {
	kind   string // counter, gauge or histogram
	labels []string
}

// documented reads the rows of docs/metrics.md.
func documented(t *testing.T) map[string]metric {
	t.Helper()
	out := map[string]metric{}
	for line := range strings.Lines(readFile(t, "../../docs/metrics.md")) {
		cells := strings.Split(line, "|")
		if len(cells) < 5 || !strings.Contains(cells[1], "`dmarcd_") {
			continue
		}
		m := metric{kind: strings.TrimSpace(cells[2]), labels: words(cells[3])}
		if !slices.Contains([]string{"counter", "gauge", "histogram"}, m.kind) {
			t.Errorf("docs/metrics.md: %q is no type of a metric", m.kind)
		}
		for _, name := range words(cells[1]) {
			if _, twice := out[name]; twice {
				t.Errorf("docs/metrics.md has %s twice", name)
			}
			out[name] = m
		}
	}
	if len(out) < 40 {
		t.Fatalf("docs/metrics.md has only %d metrics", len(out))
	}
	return out
}

// words are the words of code in a cell.
func words(cell string) (out []string) {
	for _, w := range codeWord.FindAllString(cell, -1) {
		out = append(out, strings.Trim(w, "`"))
	}
	return out
}

var metricLiteral = regexp.MustCompile(`"(dmarcd_[a-z0-9_]+)"`)

// TestMetricsAreDocumented holds docs/metrics.md to the names that the sources register.
func TestMetricsAreDocumented(t *testing.T) {
	known, registered := documented(t), map[string]bool{}
	for _, pattern := range []string{"../daemon/*.go", "../metrics/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			for _, m := range metricLiteral.FindAllStringSubmatch(readFile(t, file), -1) {
				registered[m[1]] = true
				if _, ok := known[m[1]]; !ok {
					t.Errorf("%s registers %s, which docs/metrics.md does not have", file, m[1])
				}
			}
		}
	}
	for name := range known {
		if !registered[name] {
			t.Errorf("docs/metrics.md has %s, which nothing registers", name)
		}
	}
}

// expression is PromQL with where it stands.
type expression struct{ at, text string }

// dashboard is what of a Grafana dashboard is looked at.
type dashboard struct {
	Title, UID  string
	Panels      []panel
	Annotations struct {
		List []struct {
			Name, Expr string
		}
	}
	Templating struct {
		List []struct{ Name, Type, Definition string }
	}
}

type panel struct {
	ID          int
	Type, Title string
	Datasource  *struct{ Type, UID string }
	GridPos     struct{ H, W, X, Y int }
	Targets     []struct {
		RefID, Expr, LegendFormat string
		Datasource                struct{ UID string }
	}
}

func readDashboard(t *testing.T) (dashboard, []expression) {
	t.Helper()
	var d dashboard
	if err := json.Unmarshal([]byte(readFile(t, "../../deploy/grafana/dmarcd.json")), &d); err != nil {
		t.Fatal(err)
	}
	var out []expression
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			out = append(out, expression{fmt.Sprintf("panel %q, %s", p.Title, target.RefID), target.Expr})
		}
	}
	for _, a := range d.Annotations.List {
		out = append(out, expression{fmt.Sprintf("annotation %q", a.Name), a.Expr})
	}
	for _, v := range d.Templating.List {
		if inner, ok := strings.CutPrefix(v.Definition, "label_values("); ok {
			query, _ := cutLast(inner, ",")
			out = append(out, expression{"variable " + v.Name, query})
		}
	}
	// What Grafana fills in.
	fill := strings.NewReplacer("$__rate_interval", "5m", "$job", "dmarcd", "$instance", ".+")
	for i := range out {
		out[i].text = fill.Replace(out[i].text)
	}
	return d, out
}

func cutLast(s, sep string) (before, after string) {
	i := strings.LastIndex(s, sep)
	return s[:i], s[i+len(sep):]
}

func TestDashboard(t *testing.T) {
	d, _ := readDashboard(t)
	ids, taken := map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.ID == 0 {
			t.Errorf("panel %q: the id %d is not its own", p.Title, p.ID)
		}
		ids[p.ID] = true
		at := p.GridPos
		if p.Title == "" || at.W <= 0 || at.H <= 0 || at.X < 0 || at.X+at.W > 24 {
			t.Errorf("panel %q stands at %+v", p.Title, at)
		}
		for x := at.X; x < at.X+at.W; x++ {
			for y := at.Y; y < at.Y+at.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("panel %q lies over %q", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			continue
		}
		if len(p.Targets) == 0 || p.Datasource == nil || p.Datasource.UID != "${datasource}" {
			t.Errorf("panel %q has no query, or a data source of its own", p.Title)
		}
		for _, target := range p.Targets {
			if target.Datasource.UID != "${datasource}" || !strings.Contains(target.Expr, `job=~"$job", instance=~"$instance"`) {
				t.Errorf("panel %q, %s does not follow the dashboard's variables", p.Title, target.RefID)
			}
		}
	}
	var names []string
	for _, v := range d.Templating.List {
		names = append(names, v.Name)
	}
	if !slices.Equal(names, []string{"datasource", "job", "instance"}) || d.UID == "" || d.Title == "" {
		t.Errorf("variables are %v, uid %q, title %q", names, d.UID, d.Title)
	}
}

// rulesFile is a file of Prometheus rules.
type rulesFile struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert, Expr, For    string
			Labels, Annotations map[string]string
		}
	}
}

const (
	rulesPath = "../../deploy/prometheus/dmarcd.rules.yml"
	rulesTest = "../../deploy/prometheus/dmarcd.rules.test.yml"
	daysTest  = "../../deploy/prometheus/dmarcd.rules.days.test.yml"
)

func readRules(t *testing.T) (rulesFile, []expression) {
	t.Helper()
	var f rulesFile
	dec := yaml.NewDecoder(strings.NewReader(readFile(t, rulesPath)))
	dec.KnownFields(true)
	if err := dec.Decode(&f); err != nil {
		t.Fatal(err)
	}
	var out []expression
	for _, g := range f.Groups {
		for _, r := range g.Rules {
			out = append(out, expression{"alert " + r.Alert, r.Expr})
		}
	}
	return f, out
}

func TestAlerts(t *testing.T) {
	f, _ := readRules(t)
	tests := readFile(t, rulesTest) + readFile(t, daysTest)
	seen := map[string]bool{}
	for _, g := range f.Groups {
		for _, r := range g.Rules {
			if seen[r.Alert] || !strings.HasPrefix(r.Alert, "Dmarcd") {
				t.Errorf("alert %q: the name is not its own", r.Alert)
			}
			seen[r.Alert] = true
			if s := r.Labels["severity"]; s != "critical" && s != "warning" {
				t.Errorf("alert %s has severity %q", r.Alert, s)
			}
			if r.For == "" || r.Annotations["summary"] == "" || !strings.Contains(r.Annotations["description"], "What to do") {
				t.Errorf("alert %s lacks for, summary, or a description that says what to do", r.Alert)
			}
			// It is tried twice: while it must not fire and while it must.
			if !strings.Contains(tests, "- {alertname: "+r.Alert+", eval_time: ") || !strings.Contains(tests, "- alertname: "+r.Alert+"\n") {
				t.Errorf("alert %s is not tried beside the rules", r.Alert)
			}
		}
	}
}

// TestExpressions holds PromQL to docs/metrics.md: metrics, labels and types. Each
// metric is shown somewhere.
func TestExpressions(t *testing.T) {
	known := documented(t)
	_, shown := readDashboard(t)
	_, alerts := readRules(t)
	used := map[string]bool{}
	for _, e := range slices.Concat(shown, alerts) {
		for _, s := range selectors(e.text) {
			base, m, ok := findMetric(known, s.name)
			if !ok {
				t.Errorf("%s: docs/metrics.md has no %s", e.at, s.name)
				continue
			}
			used[base] = true
			for _, label := range s.labels {
				if base != "" && !slices.Contains(m.labels, label) && label != "job" && label != "instance" && (label != "le" || m.kind != "histogram") {
					t.Errorf("%s: %s has no label %q", e.at, s.name, label)
				}
			}
			if counts := m.kind != "gauge"; base != "" && s.within != "" && counts != slices.Contains([]string{"rate", "increase", "irate"}, s.within) {
				if s.within != "changes" {
					t.Errorf("%s: %s of %s, a %s", e.at, s.within, s.name, m.kind)
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(known)) {
		if !used[name] {
			t.Errorf("neither the dashboard nor the alerts show %s", name)
		}
	}
}

// findMetric gives a metric by the name of one of its series. Base is "" for one that every
// daemon in Go has.
func findMetric(known map[string]metric, name string) (base string, m metric, ok bool) {
	if name == "up" || strings.HasPrefix(name, "process_") || strings.HasPrefix(name, "go_") {
		return "", metric{}, true
	}
	if m, ok = known[name]; ok {
		return name, m, true
	}
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		base, cut := strings.CutSuffix(name, suffix)
		if m, ok = known[base]; cut && ok && m.kind == "histogram" {
			return base, m, true
		}
	}
	return "", metric{}, false
}

// selector is one metric in an expression.
type selector struct {
	name   string
	labels []string // in its braces, and of the aggregation round it
	within string   // the function of its range, such as rate; "" without a range
}

var (
	quotedText = regexp.MustCompile(`"[^"]*"`)
	identifier = regexp.MustCompile(`[a-z_][a-z0-9_]*`)
	ofSelector = regexp.MustCompile(`^\s*(\{[^}]*\})?\s*(\[[^\]]*\])?`)
	operators  = []string{"and", "or", "unless", "on", "offset", "bool"}
)

// selectors finds the metrics of an expression. It reads PromQL as this house writes
// it: an aggregation has its labels before its argument.
func selectors(expr string) []selector {
	return selectorsOf(quotedText.ReplaceAllString(expr, ""), nil)
}

// selectorsOf is selectors of a part of an expression, below aggregations by labels.
func selectorsOf(expr string, by []string) (out []selector) {
	call := "" // what the parenthesis before rest belongs to
	for rest := expr; ; {
		at := identifier.FindStringIndex(rest)
		if at == nil {
			return out
		}
		if strings.TrimSpace(rest[:at[0]]) != "" {
			call = ""
		}
		name := rest[at[0]:at[1]]
		rest = rest[at[1]:]
		switch next := strings.TrimSpace(rest); {
		case name == "by":
			labels, after := parenthesis(rest)
			argument, end := parenthesis(after)
			out = append(out, selectorsOf(argument, slices.Concat(by, identifier.FindAllString(labels, -1)))...)
			rest, call = end, ""
		case strings.HasPrefix(next, "("):
			call, rest = name, next[1:]
		case slices.Contains(operators, name) || !strings.Contains(name, "_") && name != "up" && !strings.HasPrefix(next, "{"):
			call = ""
		default:
			m := ofSelector.FindStringSubmatch(rest)
			s := selector{name: name, labels: slices.Concat(identifier.FindAllString(m[1], -1), by)}
			if m[2] != "" {
				s.within = call
			}
			out, rest, call = append(out, s), rest[len(m[0]):], ""
		}
	}
}

// parenthesis gives what stands in the parenthesis at the beginning of s, and what
// comes after it.
func parenthesis(s string) (inner, after string) {
	s = strings.TrimSpace(s)
	depth := 0
	for i, c := range s {
		switch c {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return s[1:i], s[i+1:]
			}
		}
	}
	return "", ""
}

func TestSelectors(t *testing.T) {
	got := fmt.Sprint(selectors(`histogram_quantile(0.5, sum by (le, type) (rate(dmarcd_x_bucket{job=~"a"}[5m]))) > 2 and up{job="b"} == 0 or vector(0) * sum(dmarcd_y offset 1d)`))
	const want = "[{dmarcd_x_bucket [job le type] rate} {up [job] } {dmarcd_y [] }]"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// promtool runs Prometheus's own checker, where it was fetched.
func promtool(t *testing.T, dir string, args ...string) {
	t.Helper()
	tool, err := filepath.Abs("../../build/prometheus/usr/bin/promtool")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(tool); err != nil {
		t.Skip("there is no promtool; scripts/fetch-promtool fetches it")
	}
	cmd := exec.CommandContext(t.Context(), tool, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestPromtoolChecksRules(t *testing.T) {
	promtool(t, filepath.Dir(rulesPath), "check", "rules", filepath.Base(rulesPath))
}

func TestPromtoolTriesRules(t *testing.T) {
	promtool(t, filepath.Dir(rulesTest), "test", "rules", filepath.Base(rulesTest), filepath.Base(daysTest))
}

// TestPromtoolChecksDashboard gives promtool the dashboard's queries as rules.
func TestPromtoolChecksDashboard(t *testing.T) {
	_, shown := readDashboard(t)
	type rule struct {
		Record string `yaml:"record"`
		Expr   string `yaml:"expr"`
	}
	var rules []rule
	for i, e := range shown {
		rules = append(rules, rule{fmt.Sprintf("dashboard:query:%d", i), e.text})
	}
	var text bytes.Buffer
	err := yaml.NewEncoder(&text).Encode(map[string]any{"groups": []map[string]any{{"name": "dashboard", "rules": rules}}})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "dashboard.yml"), text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, dir, "check", "rules", "dashboard.yml")
}

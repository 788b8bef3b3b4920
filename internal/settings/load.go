package settings

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"dmarcd/internal/dns"
	"dmarcd/internal/yamldoc"
)

// The names of the two files, for messages about keys that are in the wrong one.
const (
	daemonFile = "dmarcd.yaml"
	policyFile = "policy.yaml"
)

// Load reads dmarcd.yaml at path and the policy file that it names. Hostname is the name
// of this host, the default of authserv_id. On success it returns the settings and
// warnings; otherwise err is Faults with every fault of both files, and the settings are
// nil. A test of the policy that fails is a fault.
func Load(path, hostname string) (s *Settings, warnings []Fault, err error) {
	return load(path, hostname, LoadPolicy)
}

// Read is Load for display: the policy's own tests are not run.
func Read(path, hostname string) (s *Settings, warnings []Fault, err error) {
	return load(path, hostname, ReadPolicy)
}

// StateDir returns the state_dir of a dmarcd.yaml, even if that file has faults: the
// running daemon is found by it. It is the default where the key is wrong or missing.
func StateDir(path, hostname string) string {
	data, err := readFile(path)
	if err != nil {
		return Default(hostname).StateDir
	}
	if dir, ok := stateDirIn(data, hostname); ok {
		return dir
	}
	// The file is no YAML: the line of the key may be.
	for l := range bytes.Lines(data) {
		if !bytes.HasPrefix(l, []byte("state_dir:")) {
			continue
		}
		if dir, ok := stateDirIn(l, hostname); ok {
			return dir
		}
	}
	return Default(hostname).StateDir
}

func stateDirIn(data []byte, hostname string) (dir string, ok bool) {
	d, s := newDecoder("", ""), Default(hostname)
	root, ok := d.parse(data)
	if !ok {
		return "", false
	}
	d.daemon(root, s)
	return s.StateDir, true
}

func load(path, hostname string, readPolicy func(path string) (*Policy, []Fault, error)) (s *Settings, warnings []Fault, err error) {
	path = whole(path)
	s = Default(hostname)
	s.File = path
	d := newDecoder(path, "")
	var file daemonRoot
	data, err := readFile(path)
	if err != nil {
		d.faults.add(Fault{File: path, Problem: err.Error()}, "")
	} else if root, ok := d.parse(data); ok {
		s.Text = Text{Path: path, Data: data}
		file = d.daemon(root, s)
	}
	faults, warned := d.faults.all(), d.warnings.all()

	if file.readable && !file.withoutPolicy(beside(path, s.PolicyFile)) {
		p, more, err := readPolicy(beside(path, s.PolicyFile))
		warned = append(warned, more...)
		if err != nil {
			faults = append(faults, file.blame(path, err)...)
		} else {
			s.Policy = *p
		}
	}
	if len(faults) > 0 {
		return nil, warned, faults
	}
	return s, warned, nil
}

// whole is the absolute form of a path, which faults and rules are reported with, so that
// they do not depend on a working directory.
func whole(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// beside is the path of a file that another names, by the folder of that other.
func beside(path, name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(filepath.Dir(path), name)
}

// daemonRoot is the content of dmarcd.yaml.
type daemonRoot struct {
	readable bool       // the name of the policy file is to be trusted
	policy   *yaml.Node // the value of `policy`; nil if it is left out
}

// daemon reads the values of dmarcd.yaml into s, which has the defaults.
func (d *decoder) daemon(root *yaml.Node, s *Settings) daemonRoot {
	hostname := s.AuthServID
	schema := daemonSchema()
	d.keys, d.other = schema.keys, otherFile{policyFile, topKeys(policySchema().keys)}
	if root != nil {
		into(d, schema, root, s)
	}
	if _, err := parseAuthServID(s.AuthServID); err != nil && s.AuthServID == hostname {
		d.faults.add(hostNameFault(d.file, hostname), "")
	}
	d.warnShortID(root, s.AuthServID)
	r := daemonRoot{readable: true, policy: child(root, "policy")}
	for _, f := range d.faults.list {
		if f.Key == "policy" {
			r.readable = false
		}
	}
	return r
}

// warnShortID warns of an authserv_id that is not a full host name, such as the default
// on a host with a short name.
func (d *decoder) warnShortID(root *yaml.Node, id string) {
	if len(d.faults.list) > 0 || strings.Contains(id, ".") {
		return
	}
	f := Fault{
		File: d.file, Key: "authserv_id",
		Problem: fmt.Sprintf("%q is no full host name: results under it can be taken for those of another host; set authserv_id to a name such as mx.example.org", id),
	}
	if n := child(root, "authserv_id"); n != nil {
		f.Line, f.Column = n.Line, n.Column
	}
	d.warnings.add(f, "")
}

// withoutPolicy reports whether the built-in policy applies: no file is configured, and
// there is none at the default path.
func (r daemonRoot) withoutPolicy(path string) bool {
	if r.policy != nil && !isNull(r.policy) {
		return false
	}
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// blame points at the key that names the policy file where that file cannot be
// read at all; other faults have their own place.
func (r daemonRoot) blame(path string, err error) Faults {
	var faults Faults
	if !errors.As(err, &faults) {
		return Faults{{File: path, Key: "policy", Problem: err.Error()}}
	}
	out := slices.Clone(faults)
	for i, f := range out {
		if f.Line > 0 || f.Key != "" {
			continue
		}
		out[i] = Fault{File: path, Key: "policy", Problem: f.File + ": " + f.Problem}
		if r.policy != nil {
			out[i].Line, out[i].Column = r.policy.Line, r.policy.Column
		}
	}
	return out
}

// LoadPolicy reads a policy file alone and runs its tests; a failed test is a fault. The
// error is Faults.
func LoadPolicy(path string) (p *Policy, warnings []Fault, err error) {
	return judged(ReadPolicy(path))
}

// ReadPolicy is LoadPolicy for display: its tests are not run.
func ReadPolicy(path string) (p *Policy, warnings []Fault, err error) {
	path = whole(path)
	data, err := readFile(path)
	if err != nil {
		return nil, nil, Faults{{File: path, Problem: err.Error()}}
	}
	return parsePolicy(path, filepath.Dir(path), data)
}

// judged refuses a policy whose own tests fail.
func judged(p *Policy, warnings []Fault, err error) (*Policy, []Fault, error) {
	if err != nil {
		return nil, warnings, err
	}
	if faults := p.failures(); len(faults) > 0 {
		return nil, warnings, faults
	}
	return p, warnings, nil
}

// ParsePolicy reads the text of a policy file. Name is the file name in its faults.
// Folder is where `file:` lists with relative names are searched; with "" no file is ever
// opened, and naming one is a fault. A failed test is a fault too. The error is Faults.
func ParsePolicy(name, folder string, data []byte) (p *Policy, warnings []Fault, err error) {
	return judged(parsePolicy(name, folder, data))
}

func parsePolicy(name, folder string, data []byte) (p *Policy, warnings []Fault, err error) {
	return newDecoder(name, folder).policy(data, dns.Name{})
}

// policy reads the text of a policy file, and follows a domain unless that is zero.
func (d *decoder) policy(data []byte, follow dns.Name) (p *Policy, warnings []Fault, err error) {
	d.keys, d.other = policySchema().keys, otherFile{daemonFile, topKeys(daemonSchema().keys)}
	draft := policyDraft{Policy: *defaultPolicy()}
	d.origins = newProvenance(d.file, follow)
	d.sources.files[d.file] = data
	if root, ok := d.parse(data); ok && root != nil {
		into(d, policySchema(), root, &draft)
	}
	if len(d.faults.list) > 0 {
		return nil, d.warnings.all(), d.faults.all()
	}
	p = draft.finish()
	p.origins, p.Texts, p.folders = d.origins, d.sources.texts(d.file), sortedKeys(d.sources.folders)
	p.ID = p.Source().ID()
	p.endings = d.endings
	return p, d.warnings.all(), nil
}

func (d *decoder) parse(data []byte) (root *yaml.Node, ok bool) {
	root, fault := yamldoc.Parse(data, maxValues)
	if fault != nil {
		d.faults.add(Fault{File: d.file, Line: fault.Line, Column: fault.Column, Problem: fault.Problem, Hint: fault.Hint}, "")
		return nil, false
	}
	if root != nil && isNull(root) {
		root = nil
	}
	return root, true
}

// topKeys are the keys at the top of a file.
func topKeys(keys []string) map[string]bool {
	m := map[string]bool{}
	for _, k := range keys {
		if !strings.Contains(k, ".") {
			m[k] = true
		}
	}
	return m
}

// Check reads files of either kind: a dmarcd.yaml with the policy file that it names, or
// a policy file alone. It returns the settings of each dmarcd.yaml without a fault, and
// every warning and fault once, including list entries that ended before now; the error
// is Faults.
func Check(hostname string, now time.Time, paths ...string) (loaded []*Settings, warnings []Fault, err error) {
	var faults Faults
	for _, path := range paths {
		var warned []Fault
		var err error
		if isPolicyFile(path) {
			var p *Policy
			if p, warned, err = LoadPolicy(path); err == nil {
				warned = append(warned, p.Ended(now)...)
			}
		} else {
			var s *Settings
			if s, warned, err = Load(path, hostname); err == nil {
				loaded = append(loaded, s)
				warned = append(warned, s.Policy.Ended(now)...)
			}
		}
		warnings = appendNew(warnings, warned)
		if more := (Faults)(nil); errors.As(err, &more) {
			faults = appendNew(faults, more)
		}
	}
	if len(faults) > 0 {
		return loaded, warnings, faults
	}
	return loaded, warnings, nil
}

func appendNew(list, more []Fault) []Fault {
	for _, f := range more {
		if !slices.Contains(list, f) {
			list = append(list, f)
		}
	}
	return list
}

// isPolicyFile recognizes a policy file by its top-level keys, or by its name where they
// do not decide.
func isPolicyFile(path string) bool {
	named := strings.Contains(filepath.Base(path), "policy")
	data, err := readFile(path)
	if err != nil {
		return named
	}
	root, fault := yamldoc.Parse(data, maxValues)
	if fault != nil || root == nil || root.Kind != yaml.MappingNode {
		return named
	}
	ours, others := topKeys(policySchema().keys), topKeys(daemonSchema().keys)
	score := 0
	for i := 0; i+1 < len(root.Content); i += 2 {
		switch k := root.Content[i].Value; {
		case ours[k]:
			score++
		case others[k]:
			score--
		}
	}
	return score > 0 || score == 0 && named
}

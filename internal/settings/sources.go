package settings

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"dmarcd/internal/dns"
	"dmarcd/internal/policy"
)

// Text is a file as it was read.
type Text struct {
	Path string // whole
	Data []byte // not to be changed
}

// sources are the files that a policy is read from. Each is read once; it can then be
// read again without access to the disk.
type sources struct {
	files   map[string][]byte
	folders map[string]bool
	closed  bool // no file is opened that is not among them
}

func newSources() *sources { return &sources{files: map[string][]byte{}, folders: map[string]bool{}} }

// read returns a file.
func (s *sources) read(path string) ([]byte, error) {
	if data, ok := s.files[path]; ok {
		return data, nil
	}
	if s.closed {
		return nil, openTrouble(fs.ErrNotExist)
	}
	data, err := readFile(path)
	if err == nil {
		s.files[path] = data
	}
	return data, err
}

// yamlFiles lists the *.yaml in a folder by path, except hidden ones.
func (s *sources) yamlFiles(folder string) ([]string, error) {
	s.folders[folder] = true
	if s.closed {
		return slices.DeleteFunc(sortedKeys(s.files), func(path string) bool { return !isYAMLIn(folder, path) }), nil
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, openTrouble(err)
	}
	var out []string
	for _, e := range entries {
		if path := filepath.Join(folder, e.Name()); isYAMLIn(folder, path) {
			out = append(out, path)
		}
	}
	return out, nil
}

func isYAMLIn(folder, path string) bool {
	name := filepath.Base(path)
	return filepath.Dir(path) == folder && strings.HasSuffix(name, ".yaml") && !strings.HasPrefix(name, ".")
}

// texts are all files, that of the policy first.
func (s *sources) texts(policy string) []Text {
	out := []Text{{Path: policy, Data: s.files[policy]}}
	for _, path := range sortedKeys(s.files) {
		if path != policy {
			out = append(out, Text{Path: path, Data: s.files[path]})
		}
	}
	return out
}

// ReadTexts is ReadPolicy for a policy whose files have been read: Policy.Texts. The
// files on disk may have changed since.
func ReadTexts(texts []Text) (p *Policy, warnings []Fault, err error) {
	return readTexts(texts, dns.Name{})
}

// LoadTexts is LoadPolicy for a policy whose files were read before.
func LoadTexts(texts []Text) (p *Policy, warnings []Fault, err error) {
	return judged(ReadTexts(texts))
}

// FromTexts is Read for a configuration whose files were read before: Settings.Text and
// Policy.Texts. The error is Faults.
func FromTexts(file Text, policy []Text, hostname string) (*Settings, error) {
	s := Default(hostname)
	s.File, s.Text = file.Path, file
	d := newDecoder(file.Path, "")
	if root, ok := d.parse(file.Data); ok {
		d.daemon(root, s)
	}
	if faults := d.faults.all(); len(faults) > 0 {
		return nil, faults
	}
	p, _, err := ReadTexts(policy)
	if err != nil {
		return nil, err
	}
	s.Policy = *p
	return s, nil
}

// Source is Texts, as they are kept by their name.
func (p *Policy) Source() policy.Source {
	var out policy.Source
	for _, t := range p.Texts {
		out = append(out, policy.SourceFile{Name: t.Path, Text: string(t.Data)})
	}
	return out
}

// readTexts follows a domain besides; the zero Name follows none.
func readTexts(texts []Text, follow dns.Name) (p *Policy, warnings []Fault, err error) {
	if len(texts) == 0 {
		return defaultPolicy(), nil, nil
	}
	return textDecoder(texts, texts[0].Path).policy(texts[0].Data, follow)
}

// textDecoder reads a file that was read before, and opens none.
func textDecoder(texts []Text, file string) *decoder {
	d := newDecoder(file, filepath.Dir(file))
	d.sources.closed = true
	for _, t := range texts {
		d.sources.files[t.Path] = t.Data
	}
	return d
}

// Files are the files and folders, beside that of the policy, in which a change
// concerns the policy.
func (p *Policy) Files() []string {
	out := slices.Clone(p.folders)
	if len(p.Texts) > 0 {
		for _, t := range p.Texts[1:] {
			out = append(out, t.Path)
		}
	}
	return out
}

package settings

import (
	"path/filepath"

	"dmarcd/internal/dns"
	"dmarcd/internal/policy"
)

// Text is a file as it was read.
type Text struct {
	Path string // whole
	Data []byte
}

// Source is Texts, as they are kept by their name.
func (p *Policy) Source() policy.Source {
	var out policy.Source
	for _, t := range p.Texts {
		out = append(out, policy.SourceFile{Name: t.Path, Text: string(t.Data)})
	}
	return out
}

// texts are those that a policy was read from; data is that of its own file.
func (d *decoder) texts(data []byte) []Text {
	out := []Text{{Path: d.file, Data: data}}
	for _, path := range sortedKeys(d.lists) {
		out = append(out, Text{Path: path, Data: d.lists[path]})
	}
	return out
}

// textDecoder is a decoder for the policy of texts, of which there is one at least: no
// file is opened.
func textDecoder(texts []Text) (d *decoder, data []byte) {
	main := texts[0]
	d = newDecoder(main.Path, filepath.Dir(main.Path))
	d.given = true
	for _, t := range texts[1:] {
		d.lists[t.Path] = t.Data
	}
	return d, main.Data
}

// ReadTexts is ReadPolicy for a policy whose files were read before: Policy.Texts. The
// files on disk may have changed since.
func ReadTexts(texts []Text) (p *Policy, warnings []Fault, err error) {
	if len(texts) == 0 {
		return defaultPolicy(), nil, nil
	}
	d, data := textDecoder(texts)
	return d.policy(data)
}

// LoadTexts is LoadPolicy for a policy whose files were read before.
func LoadTexts(texts []Text) (p *Policy, warnings []Fault, err error) {
	return judged(ReadTexts(texts))
}

// TraceTexts is TracePolicy for a policy whose files were read before.
func TraceTexts(texts []Text, domain dns.Name) (*Trace, error) {
	if len(texts) == 0 {
		return TracePolicy("", domain)
	}
	d, data := textDecoder(texts)
	return d.traced(data, domain)
}

package settings

import (
	"errors"
	"strings"

	"gopkg.in/yaml.v3"

	"dmarcd/internal/policy"
)

const expectedNotification = "a text with %TOKENS%, or file:NAME"

// templateField is `template` of `notify`: a text of several lines, or a file with it.
func templateField() field[Notify] {
	show := func(n *Notify) *yaml.Node {
		if n.TemplateFile != "" {
			return quoted(filePrefix + n.TemplateFile)
		}
		return quoted(n.Template)
	}
	return field[Notify]{
		name: "template",
		keys: []string{"template"},
		read: func(d *decoder, n *yaml.Node, v *Notify) {
			if isNull(n) {
				return
			}
			into(d, kind[Notify]{read: (*decoder).template}, n, v)
		},
		show: show,
		unlike: func(n, other *Notify) *yaml.Node {
			if n.Template == other.Template && n.TemplateFile == other.TemplateFile {
				return nil
			}
			return show(n)
		},
	}
}

func (d *decoder) template(n *yaml.Node, v *Notify) {
	s, ok := d.scalar(n, expectedNotification)
	if !ok {
		return
	}
	name, isFile := strings.CutPrefix(s, filePrefix)
	if !isFile {
		if looksLikeFile(s) {
			d.faultHint(n, filePrefix+clip(s), "expected %s, found %q: a file is named with %s before it", expectedNotification, clip(s), filePrefix)
			return
		}
		v.TemplateFile = ""
		d.notification(n, s, v)
		return
	}
	if _, err := oneLine(name, maxPath); err != nil || name == "" || d.file == "" {
		d.fault(n, "expected the name of a file after %s, found %q", filePrefix, clip(name))
		return
	}
	path := beside(d.file, name)
	data, err := d.sources.read(path)
	if err != nil {
		d.unread(n, path, err)
		return
	}
	v.TemplateFile = name
	outer := d.file
	d.file = path
	d.notification(&yaml.Node{Line: 1, Column: 1}, strings.ReplaceAll(string(data), "\r\n", "\n"), v)
	d.file = outer
}

// looksLikeFile reports whether a text of one line is rather the name of a file.
func looksLikeFile(s string) bool {
	if strings.ContainsAny(s, "\n%") {
		return false
	}
	return strings.HasPrefix(s, "/") || strings.HasPrefix(s, "./") || strings.HasSuffix(s, ".txt") || strings.HasSuffix(s, ".tmpl")
}

// notification checks the text; faults are reported at n.
func (d *decoder) notification(n *yaml.Node, s string, v *Notify) {
	_, err := policy.ParseNotification(s)
	if err == nil {
		v.Template = s
		return
	}
	hint := ""
	if unknown := (*policy.TokenError)(nil); errors.As(err, &unknown) {
		if hint = nearest(unknown.Tokens[0], policy.NotificationTokens()); hint != "" {
			hint = "%" + hint + "%"
		}
	}
	d.faultHint(n, hint, "%v", err)
}

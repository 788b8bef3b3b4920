package settings

import (
	"path/filepath"
	"strings"
	"testing"
)

func TestNotifyTemplate(t *testing.T) {
	for name, c := range map[string]struct {
		yaml, file string // file is that of notice.tmpl; "" for none
		text, want string // of the template, or the fault
	}{
		"a text":              {yaml: "template: 'Mail of %SENDER%'", text: "Mail of %SENDER%"},
		"a file":              {yaml: "template: file:notice.tmpl", file: "Subject: %ACTION%\r\n\r\nOf %SENDER%\r\n", text: "Subject: %ACTION%\n\nOf %SENDER%\n"},
		"no such file":        {yaml: "template: file:none.tmpl", want: "none.tmpl: there is no such file"},
		"a path":              {yaml: "template: /etc/dmarcd/notice", want: `a file is named with file: before it; did you mean "file:/etc/dmarcd/notice"?`},
		"a path from here":    {yaml: "template: ./notice", want: `did you mean "file:./notice"?`},
		"a name":              {yaml: "template: notice.txt", want: `did you mean "file:notice.txt"?`},
		"another name":        {yaml: "template: notice.tmpl", file: "x", want: `did you mean "file:notice.tmpl"?`},
		"a text that ends so": {yaml: "template: 'see %SUBJECT% in notice.txt'", text: "see %SUBJECT% in notice.txt"},
		"several lines":       {yaml: "template: \"/a\\nb.txt\"", text: "/a\nb.txt"},
		"all unknown tokens":  {yaml: "template: '%SENDR% %X% %SENDER% %Y%'", want: `dmarcd.yaml:1:20: notify.template: unknown tokens %SENDR% %X% %Y%; known are`},
		"tokens of a file":    {yaml: "template: file:notice.tmpl", file: "%SENDR%", want: `notice.tmpl:1:1: notify.template: unknown token %SENDR%`},
		"no name":             {yaml: "template: 'file:'", want: "expected the name of a file after file:"},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"dmarcd.yaml": "notify: {" + c.yaml + "}\n"}
			if c.file != "" {
				files["notice.tmpl"] = c.file
			}
			s, _, err := Load(filepath.Join(folder(t, files), "dmarcd.yaml"), testHost)
			switch {
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%v, want %q", err, c.want)
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want == "" && s.Notify.Template != c.text:
				t.Errorf("%q, want %q", s.Notify.Template, c.text)
			}
		})
	}
}

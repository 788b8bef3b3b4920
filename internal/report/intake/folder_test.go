package intake

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// tree makes files, by name and content in turn.
func tree(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(dir, files[i])
		must(t, os.MkdirAll(filepath.Dir(path), 0o755))
		must(t, os.WriteFile(path, []byte(files[i+1]), 0o644))
	}
	return dir
}

// listed are the files below a folder.
func listed(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	must(t, filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			out = append(out, rel)
		}
		return err
	}))
	return out
}

func mboxOf(mails ...string) string {
	var b strings.Builder
	for _, m := range mails {
		b.WriteString("From reporter@example Mon Jun  1 00:00:00 2026\n" + strings.ReplaceAll(m, "\r\n", "\n") + "\n")
	}
	return b.String()
}

func TestFolder(t *testing.T) {
	other := strings.ReplaceAll(feedback(), "id-1", "id-2")
	dir := tree(t, "a.xml.gz", gz(t, feedback()), "b.mbox", mboxOf(attached("application/gzip", "x", gz(t, other)), mailHead+"\nNothing\nFrom here on\n"),
		"c.xml", "<feedback>", ".hidden", "x", "d.xml.tmp", "x", "done/a.xml.gz", "an older one")
	r := newRig(t, nil)
	stop := r.run()
	feed := r.feeds.Add(FeedFolder, nil)
	f := &Folder{Dir: dir, Most: func() int64 { return defaults.MailBytes }, Every: time.Hour, Path: r.path, Feed: feed, Now: time.Now}
	must(t, f.Look(t.Context()))
	want := []string{".hidden", "d.xml.tmp", "done/a.xml.gz", "done/a.xml.gz.1", "done/b.mbox", "failed/c.xml"}
	if got := listed(t, dir); !slices.Equal(got, want) {
		t.Errorf("files are %v, want %v", got, want)
	}
	var stored []string
	for _, item := range r.store.wait(t, 4) {
		stored = append(stored, item.Name+" "+string(item.Kind))
	}
	if !sameLines(stored, []string{"a.xml.gz aggregate", "b.mbox#1 aggregate", "b.mbox#2 other", "c.xml unreadable"}) {
		t.Errorf("stored are %v", stored)
	}
	if s := feed.State(); s.Taken != 4 || s.Backlog != 0 {
		t.Errorf("the feed's state is %+v", s)
	}
	// What was stored and not moved, as after a kill, is moved and not stored again.
	must(t, os.Rename(filepath.Join(dir, "done/b.mbox"), filepath.Join(dir, "again.mbox")))
	must(t, f.Look(t.Context()))
	stop()
	if items := r.store.wait(t, 4); len(items) != 4 {
		t.Errorf("%d items", len(items))
	}
	if _, err := os.Stat(filepath.Join(dir, "done/again.mbox")); err != nil {
		t.Error(err)
	}
}

func TestSplit(t *testing.T) {
	mail := strings.ReplaceAll(attached("application/gzip", "x", gz(t, feedback())), "\r\n", "\n")
	quoted := strings.ReplaceAll(mailHead, "\r\n", "\n") + "\n>From here\n>>From there\nFrom now on, not after an empty line\n"
	mailbox := mboxOf(mail, quoted)
	for name, c := range map[string]struct {
		in   string
		most int64
		want []string // names
	}{
		"a file":          {in: gz(t, feedback()), want: []string{"F"}},
		"a mail":          {in: mail, want: []string{"F"}},
		"mbox":            {in: mailbox, want: []string{"F#1", "F#2"}},
		"mbox of one":     {in: mboxOf(mail), want: []string{"F"}},
		"tar":             {in: tarred(t, "d/", "", "d/a", mail, "d/b", gz(t, feedback())), want: []string{"F#1", "F#2"}},
		"tar.gz":          {in: gz(t, tarred(t, "a", mail, "b", mail, "c", mailbox)), want: []string{"F#1", "F#2", "F#3", "F#4"}},
		"empty":           {in: "", want: []string{"F"}},
		"a large one":     {in: "From x\n" + mail + "\n\nFrom y\n" + mailHead + strings.Repeat("x", 200_000) + "\n\nFrom z\n" + mail, most: 100_000, want: []string{"F#1", "F#2 too large", "F#3"}},
		"a large file":    {in: strings.Repeat("x", 500_000), most: 400_000, want: []string{"F too large"}},
		"lines of 200 kB": {in: "From x\n" + mailHead + "\n" + strings.Repeat("y", 200_000) + "\nFrom here\n", want: []string{"F"}},
	} {
		t.Run(name, func(t *testing.T) {
			most := c.most
			if most == 0 {
				most = defaults.MailBytes
			}
			var got []string
			var units []Unit
			must(t, Split("F", strings.NewReader(c.in), most, func(u Unit) error {
				line := u.Name()
				if u.TooLarge {
					line += " too large"
				}
				got = append(got, line)
				units = append(units, u)
				return nil
			}))
			if !slices.Equal(got, c.want) {
				t.Errorf("units are %v, want %v", got, c.want)
			}
			if name == "mbox" && (string(units[0].Body) != mail+"\n" && string(units[0].Body) != mail || !strings.Contains(string(units[1].Body), "\nFrom here\n>From there\nFrom now")) {
				t.Errorf("the mails are %q", units[1].Body)
			}
		})
	}
}

func TestFiles(t *testing.T) {
	dir := tree(t, "a.xml", "", "sub/b.xml", "", ".git/c", "", "box/cur/1:2,S", "", "box/new/2", "", "box/tmp/3", "", "box/dovecot-uidlist", "", "box/.Reports/cur/4", "",
		"box/.Reports/new/5", "", "box/.Reports/tmp/6", "")
	var got []string
	must(t, Files(dir, func(path string) error {
		rel, _ := filepath.Rel(dir, path)
		got = append(got, rel)
		return nil
	}))
	want := []string{"a.xml", "box/new/2", "box/cur/1:2,S", "box/.Reports/new/5", "box/.Reports/cur/4", "sub/b.xml"}
	if !slices.Equal(got, want) {
		t.Errorf("files are %v, want %v", got, want)
	}
}

package daemon

import (
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"slices"
	"strconv"
	"syscall"
)

// osUser is the user that the daemon runs as, as far as known.
type osUser struct {
	uid    uint32
	groups []uint32
	name   string
}

func (a osUser) String() string { return "the user " + a.name }

// serviceAccount is the user in the systemd unit.
const serviceAccount = "dmarcd"

// serviceUser returns the owner of the state directory. If there is none, and root asks, it is the user
// of the unit, if there is one; otherwise the caller.
func serviceUser(stateDir string) osUser {
	if info, err := os.Stat(stateDir); err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			return accountOf(st.Uid)
		}
	}
	if os.Geteuid() == 0 {
		if u, err := user.Lookup(serviceAccount); err == nil {
			if uid, err := strconv.ParseUint(u.Uid, 10, 32); err == nil {
				return accountOf(uint32(uid))
			}
		}
	}
	return accountOf(uint32(os.Geteuid()))
}

func accountOf(uid uint32) osUser {
	a := osUser{uid: uid, name: strconv.FormatUint(uint64(uid), 10)}
	u, err := user.LookupId(a.name)
	if err != nil {
		return a
	}
	a.name = u.Username
	groups, err := u.GroupIds()
	if err != nil {
		groups = []string{u.Gid}
	}
	for _, g := range groups {
		if gid, err := strconv.ParseUint(g, 10, 32); err == nil {
			a.groups = append(a.groups, uint32(gid))
		}
	}
	return a
}

// may reports whether the user has the rights to a file, in the bits of one octal digit:
// 4 to read, 2 to write, 1 to enter a folder.
func (a osUser) may(info fs.FileInfo, rights fs.FileMode) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || a.uid == 0 {
		return true
	}
	mode := info.Mode().Perm()
	switch {
	case st.Uid == a.uid:
		mode >>= 6
	case slices.Contains(a.groups, st.Gid):
		mode >>= 3
	}
	return mode&rights == rights
}

// secrets checks the files with passwords and keys: those that the start needs, and those that feeds and
// alerts read later.
func (p *preflight) secrets(version string) {
	c := p.config
	_, warnings, err := ReportsConfig(c, version)
	for _, w := range warnings {
		p.warn("%s", w)
	}
	p.meet(err)
	p.secret("store_password_file", c.StorePasswordFile, true)
	p.secret("reports.password_file", c.Reports.PasswordFile, true)
	p.secret("reports.dkim.key_file", c.Reports.DKIM.KeyFile, true)
	p.secret("http.tls_key", c.HTTP.TLSKey, true)
	p.secret("analysis.alerts.webhook_secret_file", c.Analysis.Alerts.WebhookSecretFile, false)
	for i, box := range c.Analysis.IMAP {
		p.secret(fmt.Sprintf("analysis.imap[%d].password_file", i), box.PasswordFile, false)
		p.secret(fmt.Sprintf("analysis.imap[%d].oauth_token_file", i), box.OAuthTokenFile, false)
	}
}

// secret checks one of them. Needed means that the daemon does not start without it.
func (p *preflight) secret(key, name string, needed bool) {
	path := p.config.Path(name)
	if path == "" {
		return
	}
	info, err := os.Stat(path)
	switch {
	case err != nil && needed: // told by what reads it
	case err != nil:
		p.warn("%s: %v", key, err)
	case !p.user.may(info, 4) && needed:
		p.meet(fmt.Errorf("%s: %s may not read %s; chown it to that user", key, p.user, path))
	case !p.user.may(info, 4):
		p.warn("%s: %s may not read %s; chown it to that user", key, p.user, path)
	case info.Mode().Perm()&0o007 != 0 && key != "reports.dkim.key_file": // which is told already
		p.warn("%s: %s can be read or changed by others (mode %04o); chmod 0600 it", key, path, info.Mode().Perm())
	}
}

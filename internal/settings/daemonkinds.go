package settings

import (
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"dmarcd/internal/milter"
)

// authServID is an authserv-id that needs no quoting: a value of RFC 8601
// section 2.2 in its token form, RFC 2045 section 5.1.
func authServID() kind[string] {
	return scalarOf("a host name or another word without blanks and ()<>@,;:\\\"/[]?=", parseAuthServID, plain)
}

func parseAuthServID(s string) (string, error) {
	if s == "" {
		return "", &meant{}
	}
	if len(s) > maxName {
		return "", &meant{reason: fmt.Sprintf("over %d octets", maxName)}
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c > '~' || strings.IndexByte(`()<>@,;:\"/[]?=`, c) >= 0 {
			return "", &meant{reason: fmt.Sprintf("octet %#02x", c)}
		}
	}
	return s, nil
}

// fieldName is the name of a header field, RFC 5322 section 2.2.
func fieldName() kind[string] {
	return scalarOf("the name of a header field", parseFieldName, plain)
}

func parseFieldName(s string) (string, error) {
	if s == "" || len(s) > maxName {
		return "", &meant{}
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c > '~' || c == ':' {
			return "", &meant{reason: fmt.Sprintf("octet %#02x", c)}
		}
	}
	return s, nil
}

// unixMode is the mode of a unix socket unless configured: the MTA connects through its
// group.
const unixMode fs.FileMode = 0o660

// listenEntry is a socket, either alone or with the mode and group of a unix socket.
func listenEntry() kind[Listen] {
	long := section(checkListen,
		key("socket", required(milterSocket()), func(l *Listen) *string { return &l.Socket }),
		key("mode", fileMode(), func(l *Listen) *fs.FileMode { return &l.Mode }),
		key("group", orEmpty(groupName()), func(l *Listen) *string { return &l.Group }))
	short := convert(milterSocket(), listenOn, func(l Listen) string { return l.Socket })
	return wordOr(short, long, Listen.bare)
}

// listenOn is a socket with default options.
func listenOn(socket string) Listen {
	l := Listen{Socket: socket}
	if isUnix(socket) {
		l.Mode = unixMode
	}
	return l
}

// bare reports whether all options of the socket are the defaults.
func (l Listen) bare() bool {
	return l.Group == "" && (!isUnix(l.Socket) || l.Mode == unixMode)
}

// checkListen fills in the mode of a unix socket, and refuses one for other sockets.
func checkListen(s *scope, l *Listen) {
	s.missing("socket")
	if !s.has("socket") || !s.sound("socket") {
		return
	}
	for _, name := range []string{"mode", "group"} {
		if s.has(name) && !isUnix(l.Socket) {
			s.fault(name, "only a unix: socket has a mode and a group; %s has not", l.Socket)
		}
	}
	if l.Mode == 0 && isUnix(l.Socket) {
		l.Mode = unixMode
	}
}

func isUnix(socket string) bool {
	a, err := milter.ParseAddress(socket)
	return err == nil && a.Network == "unix"
}

// fileMode is a socket's mode in octal.
func fileMode() kind[fs.FileMode] {
	return scalarOf("a mode in octal such as \"0660\"",
		func(s string) (fs.FileMode, error) {
			v, err := strconv.ParseUint(strings.TrimPrefix(s, "0o"), 8, 32)
			if err != nil || v == 0 || v > 0o777 {
				return 0, &meant{}
			}
			return fs.FileMode(v), nil
		},
		func(m fs.FileMode) *yaml.Node { return quoted(fmt.Sprintf("%04o", m.Perm())) })
}

// groupName is a group of the system, by name or number.
func groupName() kind[string] {
	valid := regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}\$?$`)
	return scalarOf("a group's name or number",
		func(s string) (string, error) {
			if !valid.MatchString(s) {
				return "", &meant{}
			}
			return s, nil
		}, quoted)
}

// absolute is a folder by its whole path.
func absolute() kind[string] {
	return scalarOf("the whole path of a folder, beginning with /",
		func(s string) (string, error) {
			if !filepath.IsAbs(s) {
				return "", &meant{}
			}
			s, err := oneLine(s, maxPath)
			return filepath.Clean(s), err
		}, quoted)
}

// storeName is sqlite:PATH or postgres://USER@HOST/NAME.
func storeName() kind[string] {
	return scalarOf("sqlite:PATH or postgres://USER@HOST/DATABASE",
		func(s string) (string, error) {
			if _, err := oneLine(s, maxPath); err != nil {
				return "", err
			}
			if name, ok := strings.CutPrefix(s, "sqlite:"); ok {
				if name == "" {
					return "", &meant{reason: "the path is missing"}
				}
				return s, nil
			}
			if holdsPassword(s) {
				return "", &meant{reason: "the password goes into a file that store_password_file names", secret: true}
			}
			u, err := url.Parse(s)
			if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
				return "", &meant{}
			}
			return s, nil
		}, quoted)
}

// holdsPassword reports whether a URL, however written, may contain a password: before an
// "@" after a colon, or in a parameter.
func holdsPassword(s string) bool {
	user, _, at := strings.Cut(s, "@")
	if _, rest, ok := strings.Cut(user, "//"); ok {
		user = rest
	} else {
		_, user, _ = strings.Cut(user, ":")
	}
	return at && strings.Contains(user, ":") || strings.Contains(strings.ToLower(s), "password=")
}

// clientIPSources is a map from relays to where they wrote the client's address.
func clientIPSources() kind[[]ClientIPSource] {
	const expected = "received or header:NAME"
	source := scalarOf(expected,
		func(s string) (string, error) {
			if s == "received" {
				return "", nil
			}
			name, ok := strings.CutPrefix(s, "header:")
			if !ok {
				return "", &meant{hint: nearest(s, []string{"received"})}
			}
			return parseFieldName(name)
		},
		func(s string) *yaml.Node {
			if s == "" {
				return plain("received")
			}
			return quoted("header:" + s)
		})
	relay := func(d *decoder, k *yaml.Node, s string) (string, bool) {
		p, ok := d.network(k, s)
		return showPrefix(p), ok
	}
	return convert(mapOf(relay, source),
		func(m map[string]string) []ClientIPSource {
			var out []ClientIPSource
			for _, k := range sortedKeys(m) {
				if p, err := parsePrefix(k); err == nil {
					out = append(out, ClientIPSource{Relay: p, Header: m[k]})
				}
			}
			return out
		},
		func(l []ClientIPSource) map[string]string {
			m := make(map[string]string, len(l))
			for _, s := range l {
				m[showPrefix(s.Relay)] = s.Header
			}
			return m
		})
}

// smtpServer is where mail is handed over.
func smtpServer() kind[string] {
	const smtp = 25
	return hostPort("an SMTP server as host:port", smtp)
}

// hostName is a host's name or address.
func hostName() kind[string] {
	return scalarOf("a host name or address",
		func(s string) (string, error) {
			if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
				return a.String(), nil
			}
			n, err := parseDomain(s)
			return n.String(), err
		}, quoted)
}

// selector is a DKIM selector, RFC 6376 section 3.1.
func selector() kind[string] {
	return scalarOf("a DKIM selector", func(s string) (string, error) {
		n, err := parseDomain(s)
		return n.String(), err
	}, plain)
}

func orNoPrefix(k kind[netip.Prefix]) kind[netip.Prefix] {
	return optional(k, func(p netip.Prefix) bool { return !p.IsValid() })
}

// milterSocket is a socket as Postfix and Sendmail spell it.
func milterSocket() kind[string] {
	return scalarOf("inet:PORT@HOST, inet6:PORT@HOST, unix:PATH or systemd:NAME", parseSocket, quoted)
}

func parseSocket(s string) (string, error) {
	if _, err := milter.ParseAddress(s); err != nil {
		prefix := fmt.Sprintf("%v %q: ", milter.ErrAddress, s)
		return "", &meant{reason: strings.TrimPrefix(err.Error(), prefix), hint: nearestSocket(s)}
	}
	return oneLine(s, maxPath)
}

// nearestSocket puts host:port, as the rest of the file spells it, into the
// MTA's spelling.
func nearestSocket(s string) string {
	host, port, err := net.SplitHostPort(s)
	if err != nil || host == "" {
		return ""
	}
	if _, err := parseHostPort(s, 0); err != nil {
		return ""
	}
	return "inet:" + port + "@" + host
}

package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"dmarcd/internal/admin"
	"dmarcd/internal/settings"
)

// DefaultFolder is where the two files are looked for when no -c is given.
const DefaultFolder = "/etc/dmarcd"

// DefaultFile is dmarcd.yaml in DefaultFolder.
func DefaultFile() string { return filepath.Join(DefaultFolder, "dmarcd.yaml") }

// Source is where the settings come from.
type Source struct {
	Path string // of dmarcd.yaml; "" for the built-in settings
}

// FindSource picks the file: the one named, else the one in DefaultFolder, else none
// where that folder has neither file.
func FindSource(named string) Source {
	if named != "" {
		return Source{Path: named}
	}
	for _, name := range []string{DefaultFile(), filepath.Join(DefaultFolder, "policy.yaml")} {
		if _, err := os.Lstat(name); !errors.Is(err, fs.ErrNotExist) {
			return Source{Path: DefaultFile()}
		}
	}
	return Source{}
}

// Load reads the settings. Warnings come with good settings only; an error of
// the files is settings.Faults.
func (s Source) Load() (*settings.Settings, settings.Faults, error) {
	if s.Path == "" {
		loaded, err := settings.Builtin(HostName(), userStateDir())
		return loaded, nil, err
	}
	return settings.Load(s.Path, HostName())
}

// Read is Load for a look at the settings: the policy's own tests are not tried.
func (s Source) Read() (*settings.Settings, settings.Faults, error) {
	if s.Path == "" {
		return s.Load()
	}
	return settings.Read(s.Path, HostName())
}

// RuntimeFolder is where a daemon has a second admin socket, for commands that cannot
// read its configuration.
const RuntimeFolder = "/run/dmarcd"

// Socket is the admin socket of the daemon that runs by this source: in its state
// directory or, where dmarcd.yaml cannot be read, in RuntimeFolder.
func (s Source) Socket() string {
	if s.Path == "" {
		return admin.SocketPath(userStateDir())
	}
	config, err := settings.ReadDaemon(s.Path, HostName())
	if err != nil {
		return admin.SocketPath(RuntimeFolder)
	}
	return admin.SocketPath(config.StateDir)
}

// HostName is the default of authserv_id.
func HostName() string {
	if host, err := os.Hostname(); err == nil && host != "" {
		return host
	}
	return "localhost"
}

// userStateDir is where state goes when there is no configuration: the user's
// state directory as the XDG base directory specification has it.
func userStateDir() string {
	if d := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "dmarcd")
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "state", "dmarcd")
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("dmarcd-%d", os.Getuid()))
}

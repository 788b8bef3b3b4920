package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"dmarcd/internal/admin"
	"dmarcd/internal/settings"
)

// DefaultFolder is the folder of the two files if no -c is given.
const DefaultFolder = "/etc/dmarcd"

// DefaultFile is dmarcd.yaml in DefaultFolder.
func DefaultFile() string { return filepath.Join(DefaultFolder, "dmarcd.yaml") }

// Source is the origin of the settings.
type Source struct {
	// File is the given dmarcd.yaml. If it is "", both files are looked for in Folder, and a missing one is
	// replaced by the built-in one.
	File   string
	Folder string // "" for none: with no File either, what is built in
}

// FindSource returns the given file or, without one, DefaultFolder.
func FindSource(named string) Source {
	if named != "" {
		return Source{File: named}
	}
	return Source{Folder: DefaultFolder}
}

// DaemonFile returns the dmarcd.yaml to read now; "" if the built-in one applies.
func (s Source) DaemonFile() string {
	if s.File != "" {
		return s.File
	}
	return s.inFolder("dmarcd.yaml")
}

// Files returns the files to read now: dmarcd.yaml, which leads to the policy, or a policy.yaml alone.
func (s Source) Files() []string {
	for _, file := range []string{s.DaemonFile(), s.inFolder("policy.yaml")} {
		if file != "" {
			return []string{file}
		}
	}
	return nil
}

// inFolder returns a file of the folder; "" if it is missing.
func (s Source) inFolder(name string) string {
	path := filepath.Join(s.Folder, name)
	if _, err := os.Lstat(path); s.Folder == "" || errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return path
}

// Load reads the settings. Only valid settings come with warnings; an error of the files is
// settings.Faults.
func (s Source) Load() (*settings.Settings, settings.Faults, error) {
	return s.read(settings.Load, settings.LoadPolicy)
}

// Read is Load for inspection of the settings: it does not run the policy's own tests.
func (s Source) Read() (*settings.Settings, settings.Faults, error) {
	return s.read(settings.Read, settings.ReadPolicy)
}

func (s Source) read(both func(path, host string) (*settings.Settings, []settings.Fault, error),
	policy func(path string) (*settings.Policy, []settings.Fault, error),
) (*settings.Settings, settings.Faults, error) {
	if file := s.DaemonFile(); file != "" {
		loaded, warnings, err := both(file, HostName())
		if err == nil {
			warnings = append(warnings, endedEntries(&loaded.Policy, time.Now())...)
		}
		return loaded, warnings, err
	}
	loaded, err := settings.Builtin(HostName(), userStateDir())
	if err != nil {
		return nil, nil, err
	}
	file := s.inFolder("policy.yaml")
	if file == "" {
		return loaded, nil, nil
	}
	p, warnings, err := policy(file)
	if err != nil {
		return nil, nil, err
	}
	loaded.PolicyFile, loaded.Policy = file, *p
	return loaded, append(warnings, endedEntries(p, time.Now())...), nil
}

// policyPath returns where the policy of these settings is, or would be.
func (s Source) policyPath(config *settings.Settings) string {
	switch {
	case config.PolicyFile != "":
		return config.Path(config.PolicyFile)
	case s.Folder != "":
		return filepath.Join(s.Folder, "policy.yaml")
	}
	return ""
}

// runtimeFolder is the folder of a daemon's second admin socket, for commands that cannot read its
// configuration. A supervisor such as systemd may name another.
func runtimeFolder() string {
	if dirs := filepath.SplitList(os.Getenv("RUNTIME_DIRECTORY")); len(dirs) > 0 && filepath.IsAbs(dirs[0]) {
		return dirs[0]
	}
	return "/run/dmarcd"
}

// Name identifies the source: the full path of its dmarcd.yaml.
func (s Source) Name() string {
	file := s.File
	if file == "" {
		file = filepath.Join(s.Folder, "dmarcd.yaml")
	}
	if whole, err := filepath.Abs(file); err == nil {
		return whole
	}
	return file
}

// Dial finds the daemon that runs by this source: in the state directory that the file on disk names,
// whatever else is wrong with it, or else in /run/dmarcd. Version is that of the program. If none runs,
// the error is admin.ErrNoDaemon.
func (s Source) Dial(ctx context.Context, version string) (*admin.Client, error) {
	dir := userStateDir()
	if file := s.DaemonFile(); file != "" {
		dir = settings.StateDir(file, HostName())
	}
	client, err := admin.Dial(ctx, admin.SocketPath(dir), version)
	if !errors.Is(err, admin.ErrNoDaemon) {
		return client, err
	}
	other, elsewhere := admin.Dial(ctx, admin.SocketPath(runtimeFolder()), version)
	switch {
	case elsewhere != nil:
		return nil, fmt.Errorf("%w, nor on %s", err, admin.SocketPath(runtimeFolder()))
	case other.Source() != s.Name():
		return nil, errors.Join(fmt.Errorf("%w; the one on %s runs by %s", err, other.Socket(), other.Source()), other.Close())
	}
	return other, nil
}

// HostName is the default of authserv_id.
func HostName() string {
	if host, err := os.Hostname(); err == nil && host != "" {
		return host
	}
	return "localhost"
}

// userStateDir is the default state directory without a configuration: the user's, by the XDG base
// directory specification.
func userStateDir() string {
	if d := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "dmarcd")
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "state", "dmarcd")
	}
	return filepath.Join(os.TempDir(), fmt.Sprintf("dmarcd-%d", os.Getuid()))
}

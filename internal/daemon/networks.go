package daemon

import (
	"errors"
	"log/slog"
	"net/netip"
	"os"
	"sync"
	"time"

	"dmarcd/internal/report/source"
	"dmarcd/internal/settings"
	"dmarcd/internal/text"
)

// errNoNetworks: there is no database of networks.
var errNoNetworks = errors.New("daemon: analysis.mmdb names no database that can be used")

// networks is the database of analysis.mmdb, reopened when its file changes. It is safe for
// concurrent use.
type networks struct {
	settings func() *settings.Settings
	log      *slog.Logger

	mu      sync.Mutex
	open    *source.Networks // nil for none
	file    string           // that was opened, or could not be
	changed time.Time
}

// look returns the network of an address.
func (n *networks) look(addr netip.Addr) (source.Network, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.follow()
	if n.open == nil {
		return source.Network{}, errNoNetworks
	}
	return n.open.Look(addr)
}

// follow opens the file of the settings, if it is another or was changed.
func (n *networks) follow() {
	config := n.settings()
	path := ""
	if config.Analysis.MMDB != "" {
		path = config.Path(config.Analysis.MMDB)
	}
	var changed time.Time
	var err error
	if path != "" {
		var info os.FileInfo
		if info, err = os.Stat(path); err == nil {
			changed = info.ModTime()
		}
	}
	if path == n.file && changed.Equal(n.changed) {
		return
	}
	n.close()
	n.file, n.changed = path, changed
	if path == "" {
		return
	}
	if err == nil {
		n.open, err = source.OpenNetworks(path)
	}
	if err != nil {
		n.log.Warn("the database of analysis.mmdb cannot be used", "file", path, "error", text.Error(err))
	}
}

func (n *networks) close() {
	if n.open != nil {
		_ = n.open.Close() // it was only read
	}
	n.open = nil
}

// shutdown closes the file.
func (n *networks) shutdown() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.close()
}

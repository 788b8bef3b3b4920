package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"dmarcd/internal/api"
)

// Time-outs of a client.
const (
	dialTimeout  = 5 * time.Second
	helloTimeout = 10 * time.Second
	// quietTimeout bounds the silence of a daemon in a stream: it sends keep-alives far more
	// often.
	quietTimeout = time.Minute
	callTimeout  = 5 * time.Minute
)

// maxAnswer bounds a JSON answer.
const maxAnswer = 64 << 20

// Client asks a running daemon. It is safe for concurrent use.
type Client struct {
	path    string
	version string
	daemon  string // version of the daemon
	source  string // of its configuration
	http    *http.Client
	quiet   time.Duration
}

var _ api.Asker = (*Client)(nil)

// Dial finds out whether a compatible daemon listens at path. Version is that of this
// program, for people. The errors are ErrNoDaemon, ErrNotAllowed, ErrProtocol, or trouble.
func Dial(ctx context.Context, path, version string) (*Client, error) {
	c := &Client{path: path, version: version, quiet: quietTimeout}
	dialer := &net.Dialer{Timeout: dialTimeout}
	c.http = &http.Client{
		Transport: &http.Transport{
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dialer.DialContext(ctx, "unix", path)
			},
			DisableCompression: true,
			MaxIdleConns:       1,
			IdleConnTimeout:    headTimeout,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	ctx, cancel := context.WithTimeout(ctx, helloTimeout)
	defer cancel()
	res, err := c.do(ctx, http.MethodGet, "/hello", nil)
	if err != nil {
		c.http.CloseIdleConnections()
		return nil, explainDial(path, err)
	}
	c.daemon = res.Header.Get(fieldVersion)
	c.source, _ = url.PathUnescape(res.Header.Get(fieldSource)) // "" is a source that nobody asks for
	return c, res.Body.Close()
}

// explainDial explains an error of the first request.
func explainDial(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w: nobody listens on %s", ErrNoDaemon, path)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %s is for %s; become one of them", ErrNotAllowed, path, whoMay(path))
	}
	return err
}

// whoMay names the owner and group of the socket or, if we cannot see it, of the folder that
// denies us access.
func whoMay(path string) string {
	for {
		info, err := os.Lstat(path)
		if err != nil {
			parent := filepath.Dir(path)
			if parent == path {
				return "others"
			}
			path = parent
			continue
		}
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return "others"
		}
		owner, group := strconv.FormatUint(uint64(st.Uid), 10), strconv.FormatUint(uint64(st.Gid), 10)
		if u, err := user.LookupId(owner); err == nil {
			owner = u.Username
		}
		if g, err := user.LookupGroupId(group); err == nil {
			group = g.Name
		}
		return fmt.Sprintf("the user %s, the group %s and root", owner, group)
	}
}

// Daemon returns the version of the daemon, for people.
func (c *Client) Daemon() string { return c.daemon }

// Source returns where the daemon's configuration comes from, as in its Config.
func (c *Client) Source() string { return c.source }

// Socket returns the path of the socket.
func (c *Client) Socket() string { return c.path }

// Close closes the connections.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// Ask implements api.Asker.
func (c *Client) Ask(ctx context.Context, name string, in, out any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	return c.json(ctx, http.MethodPost, "/call/"+url.PathEscape(name), body, out)
}

// Each implements api.Asker. While yield works, the daemon waits for a minute at most.
func (c *Client) Each(ctx context.Context, name string, in any, fresh func() any, yield func(any) error) error {
	body, err := json.Marshal(in)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watch := time.AfterFunc(c.quiet, func() { cancel(fmt.Errorf("%w: it said nothing for %s", ErrCut, c.quiet)) })
	defer watch.Stop()
	res, err := c.do(ctx, http.MethodPost, "/stream/"+url.PathEscape(name), body)
	if err != nil {
		return causeOf(ctx, err)
	}
	defer res.Body.Close() //nolint:errcheck // opened for reading only
	err = readStream(&watchedReader{r: res.Body, watch: watch, quiet: c.quiet}, fresh, yield)
	return causeOf(ctx, err)
}

// json makes a request with a JSON answer.
func (c *Client) json(ctx context.Context, method, target string, body []byte, out any) error {
	res, err := c.do(ctx, method, target, body)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // opened for reading only
	raw, err := readAll(res.Body, maxAnswer)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, out); err != nil {
		return fmt.Errorf("the daemon's answer cannot be read: %w", err)
	}
	return nil
}

// causeOf returns why a request was cancelled, if it was.
func causeOf(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && cause != nil {
		return cause
	}
	return err
}

// watchedReader times each read, and nothing between reads.
type watchedReader struct {
	r     io.Reader
	watch *time.Timer
	quiet time.Duration
}

func (w *watchedReader) Read(p []byte) (int, error) {
	w.watch.Reset(w.quiet)
	n, err := w.r.Read(p)
	w.watch.Stop()
	return n, err
}

// do makes a request. An error answer becomes an error.
func (c *Client) do(ctx context.Context, method, target string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://dmarcd"+target, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set(fieldProtocol, strconv.Itoa(Protocol))
	req.Header.Set(fieldVersion, c.version)
	res, err := c.http.Do(req)
	if err != nil {
		if u := (*url.Error)(nil); errors.As(err, &u) {
			err = u.Err // the URL means nothing to people
		}
		return nil, fmt.Errorf("ask the daemon at %s: %w", c.path, err)
	}
	if err := c.check(res); err != nil {
		return nil, errors.Join(err, res.Body.Close())
	}
	return res, nil
}

// check reads the header of an answer.
func (c *Client) check(res *http.Response) error {
	if res.Header.Get(fieldProtocol) != strconv.Itoa(Protocol) {
		return newWireError(disagree(res.Header.Get(fieldVersion), c.version)).error()
	}
	if res.StatusCode == http.StatusOK {
		return nil
	}
	raw, err := readAll(res.Body, maxFrame)
	if err != nil {
		return err
	}
	var e wireError
	if err := json.Unmarshal(raw, &e); err != nil || e.Text == "" {
		return fmt.Errorf("the daemon answers %s", res.Status)
	}
	return e.error()
}

func readAll(r io.Reader, most int64) ([]byte, error) {
	raw, err := io.ReadAll(io.LimitReader(r, most+1))
	if err != nil {
		return nil, cutOff(err)
	}
	if int64(len(raw)) > most {
		return nil, fmt.Errorf("the daemon's answer is longer than %d MiB", most>>20)
	}
	return raw, nil
}

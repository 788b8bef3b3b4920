package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/netutil"

	"dmarcd/internal/memory"
)

// Limits of a server.
const (
	defaultClients = 16
	maxCallBody    = 4 << 20
	headTimeout    = 3 * time.Second
	idleTimeout    = 30 * time.Second
	writeTimeout   = time.Minute // for a client to take what is written at once
	aliveEvery     = 10 * time.Second
)

// Handler answers a call. Its result is told as JSON.
type Handler func(ctx context.Context, request json.RawMessage) (any, error)

// Handle makes a Handler of a function with types. A request with an unknown field
// is refused.
func Handle[In, Out any](f func(context.Context, In) (Out, error)) Handler {
	return func(ctx context.Context, raw json.RawMessage) (any, error) {
		var in In
		if err := decodeStrictly(raw, &in); err != nil {
			return nil, Errorf(KindRequest, "the request cannot be read: %v", err)
		}
		return f(ctx, in)
	}
}

// Config is what a server serves.
type Config struct {
	Version string             // of the program, for people
	Memory  Memory             // what is remembered; nil: nothing, and the daemon says so
	Calls   map[string]Handler // operations by name, such as "reports.list"
	Log     *slog.Logger
	Clients int // requests answered at the same time; 0 for 16. More are told to come again
}

// Server answers commands.
type Server struct {
	cfg   Config
	http  *http.Server
	slots chan struct{}
	alive time.Duration // between signs of life of a stream
}

// NewServer makes a server; Serve runs it.
func NewServer(cfg Config) *Server {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Clients <= 0 {
		cfg.Clients = defaultClients
	}
	s := &Server{cfg: cfg, slots: make(chan struct{}, cfg.Clients), alive: aliveEvery}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", s.answer(func(*http.Request) (any, error) { return struct{}{}, nil }))
	mux.HandleFunc("GET /find", s.stream(s.find))
	mux.HandleFunc("GET /records", s.stream(s.records))
	mux.HandleFunc("GET /count", s.answer(s.count))
	mux.HandleFunc("POST /call/{name}", s.call)
	s.http = &http.Server{
		Handler:           s.guard(mux),
		ReadHeaderTimeout: headTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
	}
	return s
}

// Serve answers on l until Shutdown; its error is never http.ErrServerClosed.
func (s *Server) Serve(l net.Listener) error {
	err := s.http.Serve(netutil.LimitListener(l, connectionsPerClient*s.cfg.Clients))
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Shutdown ends the server: what is under way is finished, or cut off when ctx ends.
func (s *Server) Shutdown(ctx context.Context) error {
	if err := s.http.Shutdown(ctx); err != nil {
		return errors.Join(err, s.http.Close())
	}
	return nil
}

// guard checks the protocol's version and bounds the requests under way.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(fieldProtocol, strconv.Itoa(Protocol))
		w.Header().Set(fieldVersion, s.cfg.Version)
		if r.Header.Get(fieldProtocol) != strconv.Itoa(Protocol) {
			s.fail(w, Errorf(KindProtocol, "%s", disagree(s.cfg.Version, r.Header.Get(fieldVersion))))
			return
		}
		select {
		case s.slots <- struct{}{}:
			defer func() { <-s.slots }()
		default:
			s.fail(w, Errorf(KindBusy, "the daemon answers %d commands already; try again in a moment", s.cfg.Clients))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) fail(w http.ResponseWriter, err error) {
	e := asError(err)
	status := http.StatusInternalServerError
	switch e.Kind {
	case KindRequest:
		status = http.StatusBadRequest
	case KindNotFound:
		status = http.StatusNotFound
	case KindBusy:
		status = http.StatusServiceUnavailable
	case KindProtocol:
		status = http.StatusUpgradeRequired
	}
	writeJSON(w, status, e)
}

// writeJSON answers. A client that has gone away is no error of ours.
func writeJSON(w http.ResponseWriter, status int, v any) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// answer makes a handler of what gives one JSON value.
func (s *Server) answer(f func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		out, err := f(r)
		if err != nil {
			s.fail(w, err)
			return
		}
		writeJSON(w, http.StatusOK, out)
	}
}

// countAnswer is the answer to a count.
type countAnswer struct {
	Count int64 `json:"count"`
}

func (s *Server) count(r *http.Request) (any, error) {
	since, until, err := period(r.URL.Query())
	if err != nil {
		return nil, err
	}
	if s.cfg.Memory == nil {
		return nil, errNoMemory()
	}
	n, err := s.cfg.Memory.Count(r.Context(), since, until)
	return countAnswer{Count: n}, err
}

func (s *Server) call(w http.ResponseWriter, r *http.Request) {
	name := r.PathValue("name")
	handler, ok := s.cfg.Calls[name]
	if !ok {
		s.fail(w, Errorf(KindNotFound, "the daemon does not know %q", name))
		return
	}
	body, err := readBody(w, r)
	if err == nil {
		var out any
		if out, err = handler(r.Context(), body); err == nil {
			writeJSON(w, http.StatusOK, out)
			return
		}
	}
	s.fail(w, err)
}

// readBody reads what a client sends, which it has to do in a minute.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Now().Add(writeTimeout)); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxCallBody+1))
	switch {
	case err != nil:
		return nil, Errorf(KindRequest, "the request cannot be read: %v", err)
	case len(body) > maxCallBody:
		return nil, Errorf(KindRequest, "the request is longer than %d octets", maxCallBody)
	}
	return body, control.SetReadDeadline(time.Time{})
}

func errNoMemory() error {
	return Errorf(KindTrouble, "this daemon remembers nothing: it has no store")
}

// period reads the bounds of a time.
func period(q url.Values) (since, until time.Time, err error) {
	for _, b := range []struct {
		name string
		t    *time.Time
	}{{"since", &since}, {"until", &until}} {
		text := q.Get(b.name)
		if text == "" {
			continue
		}
		us, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return since, until, Errorf(KindRequest, "%s=%q is no time", b.name, text)
		}
		*b.t = time.UnixMicro(us).UTC()
	}
	return since, until, nil
}

func (s *Server) find(r *http.Request, yield func(*memory.Record) error) error {
	id := r.URL.Query().Get("id")
	if id == "" {
		return Errorf(KindRequest, "which message? There is no id")
	}
	found, err := s.cfg.Memory.Find(r.Context(), id)
	if err != nil {
		return err
	}
	for _, rec := range found {
		if err := yield(rec); err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) records(r *http.Request, yield func(*memory.Record) error) error {
	since, until, err := period(r.URL.Query())
	if err != nil {
		return err
	}
	return s.cfg.Memory.Records(r.Context(), since, until, yield)
}

// stream makes a handler of what gives records.
func (s *Server) stream(f func(*http.Request, func(*memory.Record) error) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if s.cfg.Memory == nil {
			s.fail(w, errNoMemory())
			return
		}
		out := &streamWriter{w: w, control: http.NewResponseController(w)}
		stop := out.keepAlive(s.alive)
		err := f(r, out.record)
		stop()
		if out.failed != nil {
			s.cfg.Log.Debug("a command went away before its answer's end", "error", out.failed)
			return
		}
		out.finish(err)
	}
}

// streamWriter writes frames. Each is flushed before long, so that a client sees
// the progress, and has to be taken within writeTimeout.
type streamWriter struct {
	control *http.ResponseController

	mu      sync.Mutex
	w       io.Writer
	buf     []byte
	records uint64
	failed  error // to reach the client
}

// flushBytes is how much is gathered before it is written.
const flushBytes = 32 << 10

func (s *streamWriter) record(r *memory.Record) error {
	payload, err := r.AppendBinary(nil)
	if err != nil {
		return err
	}
	if len(payload) > maxFrame {
		return fmt.Errorf("a record of %d octets is too long for the admin socket", len(payload))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buf = appendFrame(s.buf, frameRecord, payload)
	s.records++
	if len(s.buf) < flushBytes {
		return s.failed
	}
	return s.flush()
}

// flush writes what was gathered. The caller holds the lock.
func (s *streamWriter) flush() error {
	if s.failed != nil {
		return s.failed
	}
	if err := s.control.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		s.failed = err
		return err
	}
	if _, err := s.w.Write(s.buf); err != nil {
		s.failed = err
		return err
	}
	s.buf = s.buf[:0]
	s.failed = s.control.Flush()
	return s.failed
}

// keepAlive writes a sign of life now and then, until the function that it returns
// is called.
func (s *streamWriter) keepAlive(every time.Duration) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		t := time.NewTicker(every)
		defer t.Stop()
		for {
			select {
			case <-done:
				return
			case <-t.C:
				s.mu.Lock()
				s.buf = appendFrame(s.buf, frameAlive, nil)
				_ = s.flush() // kept in s.failed
				s.mu.Unlock()
			}
		}
	}()
	return func() { close(done); <-ended }
}

// finish writes the end.
func (s *streamWriter) finish(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	end := endFrame(s.records)
	if err != nil {
		end = errorFrame(err)
	}
	s.buf = append(s.buf, end...)
	_ = s.flush() // nobody is left to be told
}

// connectionsPerClient is how many connections are open for each request that is
// answered at a time: some are idle, some are told to come again. What is beyond
// waits to be accepted.
const connectionsPerClient = 4

package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"dmarcd/internal/api"
	"dmarcd/internal/errkind"
)

// Limits of a server.
const (
	defaultClients = 16
	headTimeout    = 3 * time.Second
	idleTimeout    = 30 * time.Second
	writeTimeout   = time.Minute // for a client to accept one write
	aliveEvery     = 10 * time.Second
)

// Config configures a server.
type Config struct {
	Version string // of the program, for people
	Source  string // where the daemon's configuration comes from
	Service *api.Service
	Log     *slog.Logger
	Clients int // requests answered at the same time; 0 for 16. Further ones are told to retry
}

// Server answers commands.
type Server struct {
	cfg   Config
	http  *http.Server
	slots chan struct{}
	alive time.Duration // interval of a stream's keep-alives
}

// NewServer returns a server; Serve runs it.
func NewServer(cfg Config) *Server {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Clients <= 0 {
		cfg.Clients = defaultClients
	}
	s := &Server{cfg: cfg, slots: make(chan struct{}, cfg.Clients), alive: aliveEvery}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, http.StatusOK, struct{}{}) })
	mux.HandleFunc("POST /call/{name}", s.call)
	mux.HandleFunc("POST /stream/{name}", s.stream)
	s.http = &http.Server{
		Handler:           s.guard(mux),
		ReadHeaderTimeout: headTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    16 << 10,
		ConnState:         newConnections().note,
		ErrorLog:          slog.NewLogLogger(cfg.Log.Handler(), slog.LevelDebug),
	}
	return s
}

// Serve answers on l until Shutdown; its error is never http.ErrServerClosed.
func (s *Server) Serve(l net.Listener) error {
	err := s.http.Serve(l)
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// Shutdown ends the server: pending requests are completed, or cut off when ctx ends.
func (s *Server) Shutdown(ctx context.Context) error {
	if err := s.http.Shutdown(ctx); err != nil {
		return errors.Join(err, s.http.Close())
	}
	return nil
}

// guard checks the protocol's version and bounds the pending requests.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(fieldProtocol, strconv.Itoa(Protocol))
		w.Header().Set(fieldVersion, s.cfg.Version)
		w.Header().Set(fieldSource, url.PathEscape(s.cfg.Source))
		if r.Header.Get(fieldProtocol) != strconv.Itoa(Protocol) {
			s.fail(w, disagree(s.cfg.Version, r.Header.Get(fieldVersion)))
			return
		}
		select {
		case s.slots <- struct{}{}:
			defer func() { <-s.slots }()
		default:
			s.fail(w, errkind.Errorf(kindBusy, "the daemon answers %d commands already; try again in a moment", s.cfg.Clients))
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) fail(w http.ResponseWriter, err error) {
	e := newWireError(err)
	writeJSON(w, e.status(), e)
}

// writeJSON answers. A disconnected client is not an error.
func writeJSON(w http.ResponseWriter, status int, v any) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(writeTimeout))
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (s *Server) call(w http.ResponseWriter, r *http.Request) {
	body, err := readBody(w, r, maxBody(r.PathValue("name")))
	if err == nil {
		var out any
		if out, err = s.cfg.Service.Answer(r.Context(), api.Operator(), r.PathValue("name"), body); err == nil {
			writeJSON(w, http.StatusOK, out)
			return
		}
	}
	s.fail(w, err)
}

// maxBody is the maximum length of a request of that operation.
func maxBody(name string) int64 {
	for _, op := range api.Table() {
		if i := op.Info(); i.Name == name && i.Large {
			return api.MaxLarge
		}
	}
	return api.MaxRequest
}

// readBody reads a request, which the client must send within a minute.
func readBody(w http.ResponseWriter, r *http.Request, most int64) ([]byte, error) {
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Now().Add(writeTimeout)); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, most+1))
	switch {
	case err != nil:
		return nil, errkind.Errorf(errkind.BadRequest, "the request cannot be read: %v", err)
	case int64(len(body)) > most:
		return nil, errkind.Errorf(errkind.BadRequest, "the request is longer than %d octets", most)
	}
	return body, control.SetReadDeadline(time.Time{})
}

// stream answers with frames.
func (s *Server) stream(w http.ResponseWriter, r *http.Request) {
	body, err := readBody(w, r, maxBody(r.PathValue("name")))
	if err != nil {
		s.fail(w, err)
		return
	}
	out := &streamWriter{w: w, control: http.NewResponseController(w)}
	stop := out.keepAlive(s.alive)
	err = s.cfg.Service.AnswerEach(r.Context(), api.Operator(), r.PathValue("name"), body, out.value)
	stop()
	if out.failed != nil {
		s.cfg.Log.Debug("a command went away before its answer's end", "error", out.failed)
		return
	}
	out.finish(err)
}

// streamWriter writes frames. It flushes each soon, so that a client sees progress, and the
// client must accept it within writeTimeout.
type streamWriter struct {
	control *http.ResponseController

	mu     sync.Mutex
	w      io.Writer
	buf    []byte
	values uint64
	failed error // error in reaching the client
}

// flushBytes is how much is collected before it is written.
const flushBytes = 32 << 10

func (s *streamWriter) value(v any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var err error
	if s.buf, err = valueFrame(s.buf, v); err != nil {
		return err
	}
	s.values++
	if len(s.buf) < flushBytes {
		return s.failed
	}
	return s.flush()
}

// flush writes the collected frames. The caller holds the lock.
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

// keepAlive writes a keep-alive periodically, until the returned function is called.
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
	end := endFrame(s.values)
	if err != nil {
		end = errorFrame(err)
	}
	s.buf = append(s.buf, end...)
	_ = s.flush() // nobody is left to notify
}

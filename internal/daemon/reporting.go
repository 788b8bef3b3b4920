package daemon

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"time"

	"dmarcd/internal/errkind"
	"dmarcd/internal/filter"
	"dmarcd/internal/mailer"
	"dmarcd/internal/memory"
	"dmarcd/internal/report/outgoing"
	"dmarcd/internal/resolver"
	"dmarcd/internal/settings"
	"dmarcd/internal/store"
)

// ReportsConfig converts the settings of the reports that we send, with the key and the password that
// they name. The error, of kind errkind.WrongUse, states what is wrong with those; the warnings are
// for the operator. Version is the program's.
func ReportsConfig(s *settings.Settings, version string) (outgoing.Config, []string, error) {
	signer, warnings, err := outgoing.LoadSigner(s)
	if err != nil {
		return outgoing.Config{}, warnings, errkind.Wrap(errkind.WrongUse, err)
	}
	password, err := readPassword(s.Path(s.Reports.PasswordFile))
	if err != nil {
		return outgoing.Config{}, warnings, errkind.Errorf(errkind.WrongUse, "reports.password_file: %w", err)
	}
	c := outgoing.FromSettings(s)
	c.Generator = "dmarcd " + version
	c.Signer = signer
	c.Sender = mailer.New(mailer.Config{
		Addr: s.Reports.SMTP, Username: s.Reports.Username, Password: password, HeloName: s.AuthServID,
	})
	return c, warnings, nil
}

// readPassword reads a file that contains only a password; "" for no file.
func readPassword(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	password := strings.TrimRight(string(data), "\r\n")
	if password == "" || strings.ContainsAny(password, "\r\n\x00") {
		return "", errors.New(path + " must hold one line, the password")
	}
	return password, nil
}

// reporting creates the reports that we send, from what the recorder remembers, and reads the bounces
// of undelivered ones.
type reporting struct {
	settings func() *settings.Settings
	log      *slog.Logger
	pipeline *outgoing.Pipeline
	bounces  chan []byte // mails to be read
}

func newReporting(current func() *settings.Settings, log *slog.Logger, version string, r *recorder, dns *resolver.Client) (*reporting, error) {
	c, warnings, err := ReportsConfig(current(), version)
	if err != nil {
		return nil, err
	}
	for _, w := range warnings {
		log.Warn("configuration", "warning", w)
	}
	return &reporting{
		settings: current, log: log, bounces: make(chan []byte, maxBounces),
		pipeline: outgoing.New(outgoing.Options{
			Store: r.store.Reports(), Resolver: dns, Log: log, Now: time.Now,
		}, c),
	}, nil
}

// authResultsName is our header field that a failure report quotes.
const authResultsName = "Authentication-Results"

// failed passes a message to failure reporting (RFC 9991). A rejected message has results too, although
// nobody received them.
func (r *reporting) failed(rec *memory.Record, out *filter.Result) {
	if s := &r.settings().Reports; !s.Enabled || !s.Failure.Enabled {
		return
	}
	for _, f := range out.Insert {
		if f.Name == authResultsName {
			r.pipeline.Fail(outgoing.Message{
				Record: rec, Header: out.Header, AuthenticationResults: strings.TrimSpace(unfold(f.Value)),
				Trace: func() *memory.Trace { return out.Trace(false) },
			})
			return
		}
	}
}

// unfold removes the line ends of a field.
func unfold(value string) string { return strings.NewReplacer("\r", "", "\n", "").Replace(value) }

// run creates and sends reports until ctx ends.
func (r *reporting) run(ctx context.Context) {
	if err := r.pipeline.Run(ctx); err != nil && ctx.Err() == nil {
		r.log.Error("reports are not made any more", "error", err.Error())
	}
}

// maxBounces bounds the mails waiting to be read as bounces.
const maxBounces = 64

// bounced takes a mail to the sender address of our reports, which may be a bounce. It never waits;
// beyond maxBounces the mail is dropped, because one more report to a dead address does little harm.
func (r *reporting) bounced(raw []byte) {
	select {
	case r.bounces <- raw:
	default:
		r.log.Warn("a bounce of a report was not looked at: too many wait for the store")
	}
}

// readBounces reads them, one after the other, until ctx ends. It waits for an unreachable store.
func (r *reporting) readBounces(ctx context.Context) {
	const again = 10 * time.Second
	for {
		select {
		case <-ctx.Done():
			return
		case raw := <-r.bounces:
			_, err := r.pipeline.Bounce(ctx, raw)
			for errors.Is(err, store.ErrUnavailable) && rest(ctx, again) {
				_, err = r.pipeline.Bounce(ctx, raw)
			}
			if err != nil {
				r.log.Warn("a bounce of a report was not looked at", "error", err.Error())
			}
		}
	}
}

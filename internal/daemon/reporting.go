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

// ReportsConfig is what the settings say of the reports that we send, with what
// they name: the key and the password. The error, of kind errkind.WrongUse, says what is
// wrong with those, the warnings are for the operator. Version is the program's.
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

// readPassword reads a file that holds a password alone; "" for no file.
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

// reporting makes the reports that we send, of what the recorder remembers, and reads
// the mails that say that one was not delivered.
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

// authResultsName is the field of ours that a failure report quotes.
const authResultsName = "Authentication-Results"

// failed hands a message to those who report on single failures (RFC 9991). One that
// was refused has its results too, though nobody was sent them.
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

// unfold takes the line ends out of a field.
func unfold(value string) string { return strings.NewReplacer("\r", "", "\n", "").Replace(value) }

// run makes and sends reports until ctx ends.
func (r *reporting) run(ctx context.Context) {
	if err := r.pipeline.Run(ctx); err != nil && ctx.Err() == nil {
		r.log.Error("reports are not made any more", "error", err.Error())
	}
}

// maxBounces bounds the mails that wait to be read as bounces.
const maxBounces = 64

// bounced takes a mail to the address that our reports come from: it may say that
// one of them was not delivered. It never waits; beyond maxBounces the mail is
// dropped, for one more report to a dead address does little harm.
func (r *reporting) bounced(raw []byte) {
	select {
	case r.bounces <- raw:
	default:
		r.log.Warn("a bounce of a report was not looked at: too many wait for the store")
	}
}

// readBounces reads them, one after the other, until ctx ends. A store that is away
// is waited for.
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

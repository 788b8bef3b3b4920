package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"dmarcd/internal/filter"
	"dmarcd/internal/mailer"
	"dmarcd/internal/memory"
	"dmarcd/internal/report/outgoing"
	"dmarcd/internal/settings"
	"dmarcd/internal/store"
)

// reportsConfig is what the settings say of the reports that we send, with what
// they name: the key and the password. The error says what is wrong with those, the
// warnings are for the operator.
func reportsConfig(s *settings.Settings) (outgoing.Config, []string, error) {
	signer, warnings, err := outgoing.LoadSigner(s)
	if err != nil {
		return outgoing.Config{}, warnings, fmt.Errorf("reports.dkim: %w", err)
	}
	password, err := readPassword(s.Path(s.Reports.PasswordFile))
	if err != nil {
		return outgoing.Config{}, warnings, fmt.Errorf("reports.password_file: %w", err)
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

// newReports makes the pipeline of reports on what k remembers.
func (d *daemonProcess) newReports(config *settings.Settings, k *keeper) (*outgoing.Pipeline, error) {
	c, warnings, err := reportsConfig(config)
	if err != nil {
		return nil, usageError(err)
	}
	for _, w := range warnings {
		d.log.Warn("configuration", "warning", w)
	}
	return outgoing.New(outgoing.Options{
		Store: reportStore{Reports: k.store.Reports(), leads: &k.leads}, Resolver: d.resolver, Log: d.log, Now: time.Now,
	}, c), nil
}

// authResultsName is the field of ours that a failure report quotes.
const authResultsName = "Authentication-Results"

// failureReport hands a message to those who report on single failures (RFC 9991).
// One that was refused has its results too, though nobody was sent them.
func (k *keeper) failureReport(r *memory.Record, out *filter.Outcome) {
	if s := &k.settings().Reports; !s.Enabled || !s.Failure.Enabled {
		return
	}
	for _, f := range out.Insert {
		if f.Name == authResultsName {
			k.reports.Fail(outgoing.Message{Record: r, Header: out.Header, AuthenticationResults: strings.TrimSpace(unfold(f.Value))})
			return
		}
	}
}

// maxBounces bounds the mails that wait to be read as bounces.
const maxBounces = 64

// bounced takes a mail to the address that our reports come from: it may say that
// one of them was not delivered. It never waits; beyond maxBounces the mail is
// dropped, for one more report to a dead address does little harm.
func (k *keeper) bounced(raw []byte) {
	select {
	case k.bounces <- raw:
	default:
		k.log.Warn("a bounce of a report was not looked at: too many wait for the store")
	}
}

// readBounces reads them, one after the other, until ctx ends. A store that is away
// is waited for.
func (k *keeper) readBounces(ctx context.Context) {
	const again = 10 * time.Second
	for {
		select {
		case <-ctx.Done():
			return
		case raw := <-k.bounces:
			_, err := k.reports.Bounce(ctx, raw)
			for errors.Is(err, store.ErrUnavailable) && rest(ctx, again) {
				_, err = k.reports.Bounce(ctx, raw)
			}
			if err != nil {
				k.log.Warn("a bounce of a report was not looked at", "error", err.Error())
			}
		}
	}
}

// rest waits; it returns false if ctx ended first.
func rest(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// reportStore is the store, which notes while this daemon leads.
type reportStore struct {
	store.Reports
	leads *atomic.Bool
}

// Lead is that of the store.
func (s reportStore) Lead(ctx context.Context, do func(ctx context.Context, epoch int64) error) error {
	return s.Reports.Lead(ctx, func(ctx context.Context, epoch int64) error {
		s.leads.Store(true)
		defer s.leads.Store(false)
		return do(ctx, epoch)
	})
}

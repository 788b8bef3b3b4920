package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// leadTiming says how fast leadership passes from one daemon to the next.
//
// A daemon that is killed loses its lock at once; one whose host vanishes loses it when
// the server's keep-alive closes its connection (25 s). The next one tries every poll and
// then waits for grace, unless its predecessor resigned: under a minute in all. A leader
// that is cut off from the server notices within probe + answer, which is less than
// keep-alive takes, and less than grace, which covers a failed server that forgot the
// lock.
type leadTiming struct {
	poll   time.Duration // between attempts to take the lock, and to connect
	probe  time.Duration // between the leader's questions whether it still leads
	answer time.Duration // how long it waits for an answer
	grace  time.Duration // from taking the lock to leading
}

// defaultLeadTiming is for daemons.
func defaultLeadTiming() leadTiming {
	return leadTiming{poll: 5 * time.Second, probe: 5 * time.Second, answer: 4 * time.Second, grace: 10 * time.Second}
}

// leaderName is the row of leadership, which is that of all tasks, and leaderKey the
// advisory lock.
const (
	leaderName = "reports"
	leaderKey  = `hashtextextended('dmarcd leader ' || current_schema(), 0)`
)

// leadAlone serves a term without competitors, until ctx ends.
func leadAlone(ctx context.Context, s *Store) error {
	epoch, _, err := s.claim(ctx)
	if err != nil {
		return err
	}
	s.leading.serve(ctx, epoch)
	s.resign(ctx, epoch)
	return nil
}

// leadShared serves one term where several daemons compete: it connects, takes the lock,
// and serves until the lock is lost or ctx ends. Leadership is an advisory lock of
// PostgreSQL on a connection of its own.
func (s *Store) leadShared(ctx context.Context, conf *pgx.ConnConfig) error {
	if err := s.Ready(ctx); err != nil {
		return err
	}
	conn, err := s.connectLeader(ctx, conf)
	if err != nil {
		return wrap(ctx, "connect", err)
	}
	defer func() {
		bye, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(bye) // the server drops the lock
	}()
	if err := s.awaitLock(ctx, conn); err != nil {
		return wrap(ctx, "lead", err)
	}
	epoch, orderly, err := s.claim(ctx)
	if err != nil {
		return err
	}
	if !orderly {
		if err := s.holdLock(ctx, conn, epoch, s.timing.lead.grace); err != nil {
			return wrap(ctx, "lead", err)
		}
	}
	s.log.InfoContext(ctx, "leading", "epoch", epoch)

	term, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	lost := make(chan error, 1)
	go func() {
		err := s.holdLock(term, conn, epoch, 0)
		stop(fmt.Errorf("%w: %w", ErrFenced, err))
		lost <- err
	}()
	s.leading.serve(term, epoch)
	err = <-lost
	if ctx.Err() == nil {
		return wrap(ctx, "lead", err)
	}
	s.resign(ctx, epoch)
	return nil
}

// connectLeader makes the connection that holds the lock. It asks the server for short
// keep-alives; the server ignores parameters that it does not know.
func (s *Store) connectLeader(ctx context.Context, conf *pgx.ConnConfig) (*pgx.Conn, error) {
	conf = conf.Copy()
	if err := readPassword(s.cfg, conf); err != nil {
		return nil, err
	}
	conn, err := pgx.ConnectConfig(ctx, conf)
	if err != nil {
		return nil, err
	}
	for _, set := range []string{
		fmt.Sprintf(`SET tcp_keepalives_idle = %d`, int(keepIdle.Seconds())),
		fmt.Sprintf(`SET tcp_keepalives_interval = %d`, int(keepInterval.Seconds())),
		fmt.Sprintf(`SET tcp_keepalives_count = %d`, keepCount),
		fmt.Sprintf(`SET tcp_user_timeout = %d`, userTimeout.Milliseconds()),
		`SET idle_session_timeout = 0`,
	} {
		if _, err := conn.Exec(ctx, set); err != nil && conn.IsClosed() {
			return nil, err
		}
	}
	return conn, nil
}

// awaitLock tries for the lock until it has it.
func (s *Store) awaitLock(ctx context.Context, conn *pgx.Conn) error {
	for {
		var got bool
		ask, cancel := context.WithTimeout(ctx, s.timing.lead.answer)
		err := conn.QueryRow(ask, `SELECT pg_try_advisory_lock(`+leaderKey+`)`).Scan(&got)
		cancel()
		if err != nil || got {
			return err
		}
		if err := s.listen(ctx, conn, s.timing.lead.poll); err != nil {
			return err
		}
	}
}

// holdLock returns an error once the lock or ctx is lost, or nil after a time that
// is not 0.
func (s *Store) holdLock(ctx context.Context, conn *pgx.Conn, epoch int64, limit time.Duration) error {
	var until time.Time
	if limit > 0 {
		until = time.Now().Add(limit)
	}
	for {
		wait := s.timing.lead.probe
		if limit > 0 {
			wait = min(wait, time.Until(until))
		}
		if wait <= 0 {
			return nil
		}
		if err := s.listen(ctx, conn, wait); err != nil {
			return err
		}
		var now int64
		ask, cancel := context.WithTimeout(ctx, s.timing.lead.answer)
		err := conn.QueryRow(ask, `SELECT epoch FROM leadership WHERE name = $1`, leaderName).Scan(&now)
		cancel()
		if err != nil {
			return err
		}
		if now != epoch {
			return fmt.Errorf("%w: epoch %d has begun", ErrFenced, now)
		}
	}
}

// listen waits, but returns at once when the server ends the connection.
func (s *Store) listen(ctx context.Context, conn *pgx.Conn, d time.Duration) error {
	wait, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for {
		_, err := conn.WaitForNotification(wait)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && wait.Err() != nil && !conn.IsClosed():
			return nil // the time is over, and the connection as good as before
		case err != nil:
			return err
		}
	}
}

// claim begins an epoch. orderly reports that no other daemon can still believe that it
// leads.
func (s *Store) claim(ctx context.Context) (epoch int64, orderly bool, err error) {
	err = s.write(ctx, "lead", func(ctx context.Context, t *tx) error {
		var resigned int64
		switch err := t.row(ctx, `SELECT resigned FROM leadership WHERE name = $1`+s.dialect.forUpdate, leaderName).Scan(&resigned); {
		case err == nil:
			orderly = resigned == 1
		case errors.Is(err, ErrNotFound):
			orderly = true
		default:
			return err
		}
		now := s.now()
		// The time makes epochs differ even if a replica took over that had not received
		// the last one.
		return t.row(ctx, `INSERT INTO leadership (name, epoch, holder, since, resigned) VALUES ($1, $2, $3, $4, 0)
			ON CONFLICT (name) DO UPDATE SET
				epoch = CASE WHEN leadership.epoch >= excluded.epoch THEN leadership.epoch + 1 ELSE excluded.epoch END,
				holder = excluded.holder, since = excluded.since, resigned = 0
			RETURNING epoch`,
			leaderName, now.UnixMicro(), s.cfg.Holder, now.Unix()).Scan(&epoch)
	})
	return epoch, orderly, err
}

// resign tells the next leader that it need not wait. It is an optimization: after an
// error the next one waits for grace.
func (s *Store) resign(ctx context.Context, epoch int64) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timing.lead.answer)
	defer cancel()
	err := s.write(ctx, "resign", func(ctx context.Context, t *tx) error {
		_, err := t.exec(ctx, `UPDATE leadership SET resigned = 1 WHERE name = $1 AND epoch = $2`, leaderName, epoch)
		return err
	})
	if err != nil {
		s.log.WarnContext(ctx, "leadership ends without notice", "error", err)
	}
}

// fence fails with ErrFenced unless epoch is that of the present leader, and keeps
// the next one from taking over until the transaction has ended.
func (t *tx) fence(ctx context.Context, epoch int64) error {
	var now, resigned int64
	err := t.row(ctx, `SELECT epoch, resigned FROM leadership WHERE name = $1`+t.s.dialect.forShare, leaderName).Scan(&now, &resigned)
	switch {
	case errors.Is(err, ErrNotFound):
		return fmt.Errorf("%w: nobody leads", ErrFenced)
	case err != nil:
		return err
	case now != epoch || resigned != 0:
		return fmt.Errorf("%w: epoch %d is over", ErrFenced, epoch)
	}
	return nil
}

// Leadership is the current or last leader.
type Leadership struct {
	Holder string
	Since  time.Time
	Epoch  int64
	Ended  bool // in order; a holder that died is only known to have ended when the next one leads
}

// Leader returns the current leader; ErrNotFound if there never was one.
func (s *Store) Leader(ctx context.Context) (Leadership, error) {
	var l Leadership
	var since, resigned int64
	err := s.read(ctx, "leader", func(ctx context.Context, t *tx) error {
		return t.row(ctx, `SELECT holder, since, epoch, resigned FROM leadership WHERE name = $1`, leaderName).
			Scan(&l.Holder, &since, &l.Epoch, &resigned)
	})
	l.Since, l.Ended = time.Unix(since, 0).UTC(), resigned == 1
	return l, err
}

// pause waits.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Lead takes part in leading with a task, which is known by its name. It waits until
// this daemon leads, of those that share the database, and runs do with a context that
// ends when it leads no more; do must then return at once. Afterwards it waits again.
// It returns what do returns while it leads, or, when ctx ends, why.
//
// All tasks of a daemon run under one term, with one epoch, each in the goroutine of
// its caller; the daemon stands for leadership while it has a task.
//
// Between the loss of leadership and the end of do's context lie some seconds in the
// worst case. epoch closes that gap: it differs for each term, and a write that checks
// it (fence) is refused once somebody else leads. So what must not happen twice is
// written down, with the epoch, before it is done. With SQLite there is one daemon,
// which always leads.
func (s *Store) Lead(ctx context.Context, task string, do func(ctx context.Context, epoch int64) error) error {
	defer s.leading.join(s, task)()
	for {
		t, err := s.leading.await(ctx, s.life)
		if err != nil {
			return err
		}
		if err, ended := t.run(ctx, do); ended || s.life.Err() != nil {
			return err
		}
	}
}

// Leading tells which tasks run here, by name, and in which epoch; none and 0 while
// this daemon does not lead.
func (s *Store) Leading() (epoch int64, tasks []string) {
	l := &s.leading
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.term == nil {
		return 0, nil
	}
	return l.term.epoch, slices.Sorted(maps.Keys(l.tasks))
}

// term is one time of leading.
type term struct {
	epoch int64
	ctx   context.Context // ends with the term; its cause says why
	work  sync.WaitGroup  // of the tasks
}

// run does a task's work. ended is false where the term ended first.
func (t *term) run(ctx context.Context, do func(context.Context, int64) error) (err error, ended bool) {
	defer t.work.Done()
	own, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(t.ctx, func() { cancel(context.Cause(t.ctx)) })()
	err = do(own, t.epoch)
	return err, ctx.Err() != nil || t.ctx.Err() == nil
}

// leading is what the tasks of one daemon share.
type leading struct {
	mu      sync.Mutex
	tasks   map[string]int // how many are called so
	term    *term          // nil while this daemon does not lead
	changed chan struct{}  // closed when a term begins
	stop    context.CancelFunc
	done    chan struct{} // closed when standing for leadership has ended
}

// join begins to stand for leadership with the first task; what it gives ends it with
// the last one.
func (l *leading) join(s *Store, task string) (leave func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tasks == nil {
		l.tasks, l.changed = map[string]int{}, make(chan struct{})
	}
	if len(l.tasks) == 0 {
		before := l.done
		ctx, stop := context.WithCancel(s.life)
		l.stop, l.done = stop, make(chan struct{})
		go s.stand(ctx, before, l.done)
	}
	l.tasks[task]++
	return func() { l.leave(task) }
}

// leave waits, as the last one, until leadership was given up in order.
func (l *leading) leave(task string) {
	l.mu.Lock()
	if l.tasks[task]--; l.tasks[task] == 0 {
		delete(l.tasks, task)
	}
	last, done := len(l.tasks) == 0, l.done
	if last {
		l.stop()
	}
	l.mu.Unlock()
	if last {
		<-done
	}
}

// stand stands for leadership, and serves one term after the other, until ctx ends. It
// begins when those before it have ended.
func (s *Store) stand(ctx context.Context, before <-chan struct{}, done chan<- struct{}) {
	defer close(done)
	if before != nil {
		<-before
	}
	for lastMessage := ""; ctx.Err() == nil; {
		if err := s.dialect.lead(ctx, s); err != nil && ctx.Err() == nil {
			s.notLeading(ctx, err, &lastMessage)
		}
		if pause(ctx, s.timing.lead.poll) != nil {
			return
		}
	}
}

// notLeading logs why, unless it was logged the last time.
func (s *Store) notLeading(ctx context.Context, err error, lastMessage *string) {
	if text := err.Error(); text != *lastMessage {
		*lastMessage = text
		s.log.WarnContext(ctx, "not leading", "error", err)
	}
}

// await waits for a term, and takes part in it: run must follow. Life ends with the
// store.
func (l *leading) await(ctx, life context.Context) (*term, error) {
	for {
		l.mu.Lock()
		t, changed := l.term, l.changed
		if t != nil && t.ctx.Err() == nil && ctx.Err() == nil {
			t.work.Add(1)
			l.mu.Unlock()
			return t, nil
		}
		l.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-life.Done():
			return nil, fmt.Errorf("%w: closed", ErrUnavailable)
		case <-changed:
		}
	}
}

// serve has the tasks work until ctx ends and they have returned.
func (l *leading) serve(ctx context.Context, epoch int64) {
	t := &term{epoch: epoch, ctx: ctx}
	l.mu.Lock()
	l.term = t
	close(l.changed)
	l.changed = make(chan struct{})
	l.mu.Unlock()
	<-ctx.Done()
	l.mu.Lock()
	l.term = nil
	l.mu.Unlock()
	t.work.Wait()
}

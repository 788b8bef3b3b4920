package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
)

// Lead runs a named task while this daemon leads. It waits until this daemon leads, of
// those that share the database, and runs do with a context that ends with leadership; do
// must then return at once. Afterwards it waits again. It returns what do returns while
// leading or, when ctx ends, its cause.
//
// All tasks of a daemon run in one term, with one epoch, each in the goroutine of its
// caller; the daemon is a candidate for leadership while it has a task.
//
// In the worst case do's context ends some seconds after leadership was lost. epoch
// closes that gap: it differs for each term, and a write that checks it (fence) is
// refused once another daemon leads. So an action that must not happen twice is recorded,
// with the epoch, before it is done. With SQLite there is one daemon, which always leads.
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

// Leading returns the epoch and the names of the tasks that run here; 0 and none while
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

// leading is the state that the tasks of one daemon share.
type leading struct {
	mu      sync.Mutex
	tasks   map[string]int // how many are called so
	term    *term          // nil while this daemon does not lead
	changed chan struct{}  // closed when a term begins
	stop    context.CancelFunc
	done    chan struct{} // closed when standing for leadership has ended
}

// join makes the daemon a candidate with the first task; the function it returns ends
// that with the last one.
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

// stand tries for leadership, and serves one term after another, until ctx ends. It
// begins when the previous stand has ended.
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

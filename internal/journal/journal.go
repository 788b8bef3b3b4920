// Package journal keeps records of mail on disk, from before the MTA gets its answer
// until a store has them. Appending never waits for the store, waits for the disk only
// briefly, and never fails a message: records that cannot be kept are counted.
//
// A journal is a directory of numbered segments. A segment is written by one process
// only: one left by a crash is read, never continued. Segments that the store has are
// deleted. Where segments exceed Config.MaxBytes, the oldest are compacted: the counts
// for reports are kept, the detail of each message is dropped.
package journal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"dmarcd/internal/memory"
)

var (
	// ErrLocked says that another process has the journal.
	ErrLocked = errors.New("journal: in use by another process")
	// ErrNewer says that the journal holds records written by a newer version of dmarcd.
	ErrNewer = errors.New("journal: of a newer dmarcd")
	// ErrRecord is wrapped by an error of Sink.Load when the batch holds something that
	// the store will never take.
	ErrRecord = errors.New("journal: the store refuses a record")
	// ErrNoSink says that the journal has no store to load into.
	ErrNoSink = errors.New("journal: no store to load into")
)

// What Append may say. Each of them is counted too; none concerns the message.
var (
	ErrLate      = errors.New("journal: not written yet, the disk is slow") // it still will be
	ErrLost      = errors.New("journal: the record could not be written")
	ErrQueueFull = errors.New("journal: too many records wait for the disk")
	ErrTooLarge  = errors.New("journal: the record is too large")
	ErrClosed    = errors.New("journal: closed")
)

// Sink is a store. Its methods are called from one goroutine, one at a time, and
// must return when ctx is done.
type Sink interface {
	// Position is how far the store has loaded the journal of that id: the To of the last
	// batch that it took, or the zero Position.
	Position(ctx context.Context, journal string) (memory.Position, error)
	// Load takes all of a batch or nothing, and remembers its To. It must refuse a batch
	// whose From is not its current position. After any error Position is called before
	// anything else.
	Load(ctx context.Context, b memory.Batch) error
}

// Config is what a journal needs. Zero values mean the stated defaults.
type Config struct {
	Dir  string           // made if it is not there, mode 0700
	Sink Sink             // nil: records are kept, nothing is loaded
	Now  func() time.Time // nil for time.Now
	Log  *slog.Logger     // nil for none

	MaxBytes     int64         // of all that is not loaded, a quarter more for a while; 1 GiB
	SegmentBytes int64         // about the size of a segment; 16 MiB, never more than an eighth of MaxBytes
	QueueBytes   int           // of records that wait for a slow disk; 32 MiB
	Patience     time.Duration // for how long Append waits for its write; 100 ms
	SyncEvery    time.Duration // how much a power cut may cost; 200 ms

	BatchRecords int           // 500: what keeps processor and database busy at once
	BatchBytes   int           // of encoded records; 4 MiB
	Linger       time.Duration // how long a record waits for others; 250 ms
	LoadTimeout  time.Duration // of one call of the sink; 30 s
	RetryMin     time.Duration // between tries to reach the store; 100 ms, doubled each time
	RetryMax     time.Duration // up to 10 s

	// wrap lets tests intercept the journal's writes to its segments.
	wrap func(file) file
}

// Smallest segment that makes sense, for tests and small disks.
const minSegment = 4 << 10

func (c Config) withDefaults() Config {
	setDefault(&c.MaxBytes, 1<<30)
	setDefault(&c.SegmentBytes, 16<<20)
	c.SegmentBytes = max(minSegment, min(c.SegmentBytes, c.MaxBytes/8))
	setDefault(&c.QueueBytes, 32<<20)
	setDefault(&c.Patience, 100*time.Millisecond)
	setDefault(&c.SyncEvery, 200*time.Millisecond)
	setDefault(&c.BatchRecords, 500)
	setDefault(&c.BatchBytes, 4<<20)
	setDefault(&c.Linger, 250*time.Millisecond)
	setDefault(&c.LoadTimeout, 30*time.Second)
	setDefault(&c.RetryMin, 100*time.Millisecond)
	setDefault(&c.RetryMax, 10*time.Second)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.wrap == nil {
		c.wrap = func(f file) file { return f }
	}
	return c
}

func setDefault[T int | int64 | time.Duration](p *T, v T) {
	if *p <= 0 {
		*p = v
	}
}

// Journal is an open journal. Its methods may be called from any goroutine.
type Journal struct {
	cfg        Config
	lock       *os.File
	counts     counts
	checkpoint *checkpoint
	index      *segmentIndex
	queue      *queue
	writer     *writer
	syncer     *syncer
	maintainer *maintainer
	loader     *loader // nil without a sink

	stop    context.CancelFunc // of the maintainer and the loader
	workers sync.WaitGroup     // all goroutines

	closing sync.Once
	closed  error
}

// Open opens the journal in cfg.Dir, creates it if missing, and begins to load its
// records. Its error wraps ErrLocked if another process has it. A full disk is no error
// once the journal exists.
func Open(cfg Config) (*Journal, error) {
	cfg = cfg.withDefaults()
	if err := makeDir(cfg.Dir); err != nil {
		return nil, fmt.Errorf("journal: %w", err)
	}
	lock, err := lockDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	j := &Journal{cfg: cfg, lock: lock}
	if err := j.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("journal: %w", err), lock.Close())
	}
	j.start()
	return j, nil
}

// open reads the directory and makes the parts, but does not start them.
func (j *Journal) open() error {
	if err := checkVersion(j.cfg.Dir); err != nil {
		return err
	}
	id, err := readID(j.cfg.Dir)
	if err != nil {
		return err
	}
	j.checkpoint, err = openCheckpoint(j.cfg.Dir)
	if err != nil {
		return err
	}
	j.index, err = openIndex(&j.cfg, j.checkpoint)
	if err != nil {
		return errors.Join(err, j.checkpoint.close())
	}
	j.queue = newQueue(j.cfg.QueueBytes)
	j.syncer = newSyncer(&j.cfg, &j.counts)
	j.maintainer = newMaintainer(&j.cfg, j.index, &j.counts)
	j.writer = newWriter(&j.cfg, j)
	if j.cfg.Sink != nil {
		j.loader = newLoader(&j.cfg, j.index, &j.counts, j.checkpoint, id)
	}
	return nil
}

// start runs the goroutines.
func (j *Journal) start() {
	ctx, stop := context.WithCancel(context.Background())
	j.stop = stop
	j.maintainer.supply()
	j.writer.roll()
	j.maintainer.supply()
	j.workers.Go(func() {
		j.writer.run()
		j.syncer.stop()
	})
	j.workers.Go(j.syncer.run)
	j.workers.Go(func() { j.maintainer.run(ctx) })
	if j.loader != nil {
		j.workers.Go(func() { j.loader.run(ctx) })
	}
}

// Sync waits until all that was appended before is loaded. Its error is that of
// ctx, ErrClosed or ErrNoSink.
func (j *Journal) Sync(ctx context.Context) error {
	if j.loader == nil {
		return ErrNoSink
	}
	if err := j.queue.flush(ctx); err != nil {
		return err
	}
	return j.loader.sync(ctx, j.index.end())
}

// Close takes no more records, writes and syncs those it has, loads what it can until ctx
// is done, and releases the journal. Its error says what was not done; records not loaded
// are loaded after the next Open.
func (j *Journal) Close(ctx context.Context) error {
	j.closing.Do(func() { j.closed = j.close(ctx) })
	return j.closed
}

// closeGrace is for how long Close waits, after its context, for calls of the disk
// and the store to return.
const closeGrace = time.Second

func (j *Journal) close(ctx context.Context) error {
	j.queue.close()
	errs := []error{j.queue.flush(ctx)}
	if j.loader != nil && errs[0] == nil {
		if err := j.loader.sync(ctx, j.index.end()); err != nil {
			errs = append(errs, fmt.Errorf("journal: not all is loaded: %w", err))
		}
	}
	j.stop()
	j.writer.stop()
	done := make(chan struct{})
	go func() { j.workers.Wait(); close(done) }()
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeGrace)
	defer cancel()
	select {
	case <-done:
		errs = append(errs, j.maintainer.close(), j.checkpoint.close())
	case <-grace.Done():
		errs = append(errs, errors.New("journal: the disk or the store did not return"))
	}
	return errors.Join(append(errs, j.lock.Close())...)
}

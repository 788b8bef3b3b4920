package journal

import (
	"sync/atomic"
	"time"
)

// Stats is what a journal has done since Open, and what it holds.
type Stats struct {
	Appended uint64 // records given to Append, those lost included
	Late     uint64 // of them, written only after Append had returned
	Lost     Lost
	// DetailDropped is how many records were turned into counts for want of room.
	DetailDropped uint64

	Loaded       uint64        // records that the store took
	LoadedCounts uint64        // messages loaded as counts only, without detail
	LoadErrors   uint64        // calls of the store that failed
	LastLoad     time.Duration // duration of the last batch; 0 before the first

	WriteErrors      uint64
	SyncErrors       uint64
	CompactionErrors uint64
	Syncs            uint64
	LastSync         time.Duration // 0 before the first

	Bytes     int64         // on disk
	Segments  int           // files, compacted segments included
	Compacted int           // compacted ones among Segments
	Unloaded  int64         // records and counts that the store does not have; guessed until they are read
	Lag       time.Duration // age of the oldest of them; 0 if there is none
	Queued    int           // octets that wait for the disk
}

// Lost counts messages lost completely, by cause.
type Lost struct {
	Disk       uint64 // not written: the disk was full or failed
	Queue      uint64 // too many waited for the disk
	Large      uint64 // larger than MaxPayload
	Unreadable uint64 // damaged on disk
	Refused    uint64 // the store will never take them
	Dropped    uint64 // counts that there was no room for either
}

// counts are the counters behind Stats.
type counts struct {
	appended, late                                   atomic.Uint64
	lostDisk, lostQueue, lostLarge, lostUnreadable   atomic.Uint64
	lostRefused, lostDropped, detailDropped          atomic.Uint64
	loaded, loadedCounts, loadErrors                 atomic.Uint64
	writeErrors, syncErrors, compactionErrors, syncs atomic.Uint64
	lastSync, lastLoad                               atomic.Int64 // nanoseconds
}

// Stats describes the journal. It takes two short locks.
func (j *Journal) Stats() Stats {
	c := &j.counts
	s := Stats{
		Appended: c.appended.Load(),
		Late:     c.late.Load(),
		Lost: Lost{
			Disk: c.lostDisk.Load(), Queue: c.lostQueue.Load(), Large: c.lostLarge.Load(),
			Unreadable: c.lostUnreadable.Load(), Refused: c.lostRefused.Load(), Dropped: c.lostDropped.Load(),
		},
		DetailDropped:    c.detailDropped.Load(),
		Loaded:           c.loaded.Load(),
		LoadedCounts:     c.loadedCounts.Load(),
		LoadErrors:       c.loadErrors.Load(),
		LastLoad:         time.Duration(c.lastLoad.Load()),
		WriteErrors:      c.writeErrors.Load(),
		SyncErrors:       c.syncErrors.Load(),
		CompactionErrors: c.compactionErrors.Load(),
		Syncs:            c.syncs.Load(),
		LastSync:         time.Duration(c.lastSync.Load()),
		Queued:           j.queue.size(),
	}
	j.index.describe(&s, j.cfg.Now())
	return s
}

package journal

import "errors"

// Append puts a record's encoding (memory.Record.AppendBinary) into the journal. When it
// returns nil the kernel has it, so it survives this process; within Config.SyncEvery it
// survives a power cut too. It waits for Config.Patience at most. An error says what
// happened to the record, for a log: it is counted, and does not affect mail. The payload
// is not retained.
func (j *Journal) Append(payload []byte) error {
	if len(payload) > MaxPayload {
		j.counts.appended.Add(1)
		j.counts.lostLarge.Add(1)
		return ErrTooLarge
	}
	w, err := j.queue.put(kindRecord, j.cfg.Now().UnixMilli(), payload)
	if err != nil {
		if errors.Is(err, ErrQueueFull) {
			j.counts.appended.Add(1)
			j.counts.lostQueue.Add(1)
		}
		return err
	}
	j.counts.appended.Add(1)
	err = j.queue.wait(w, j.cfg.Patience)
	if errors.Is(err, ErrLate) {
		j.counts.late.Add(1)
	}
	return err
}

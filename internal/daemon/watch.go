package daemon

import (
	"os"
	"slices"
	"time"
)

// watchEvery is the interval of checks of the policy's files. A change counts only when two checks agree,
// so that a file still being written, or a folder of lists half replaced, is not read.
const watchEvery = time.Second

// fileState distinguishes versions of a file; zero for a missing file.
type fileState struct {
	mod  time.Time
	size int64
	info os.FileInfo
}

func (a fileState) same(b fileState) bool {
	if a.info == nil || b.info == nil {
		return a.info == nil && b.info == nil
	}
	return a.mod.Equal(b.mod) && a.size == b.size && os.SameFile(a.info, b.info)
}

func stateOf(path string) fileState {
	info, err := os.Stat(path)
	if err != nil {
		return fileState{}
	}
	return fileState{mod: info.ModTime(), size: info.Size(), info: info}
}

// watcher reports when the files of the policy have changed and settled.
type watcher struct {
	files []string
	taken []fileState // as they were when last loaded, whether that went well or not
	last  []fileState // as they were at the last look
}

// snapshot is the state of the files before they are loaded, so that a write during the load shows as a
// change.
func (w *watcher) snapshot() map[string]fileState {
	m := make(map[string]fileState, len(w.files))
	for _, f := range w.files {
		m[f] = stateOf(f)
	}
	return m
}

// loaded marks files as loaded, in the state of before if it has them, otherwise in their current state.
func (w *watcher) loaded(files []string, before map[string]fileState) {
	w.files = slices.Clone(files)
	w.taken = w.look()
	for i, f := range files {
		if s, ok := before[f]; ok {
			w.taken[i] = s
		}
	}
	w.last = w.taken
}

// changed checks once and reports whether the files differ from the loaded ones and equal those of the
// previous check.
func (w *watcher) changed() bool {
	now := w.look()
	settled := slices.EqualFunc(now, w.last, fileState.same)
	w.last = now
	return settled && !slices.EqualFunc(now, w.taken, fileState.same)
}

func (w *watcher) look() []fileState {
	states := make([]fileState, len(w.files))
	for i, f := range w.files {
		states[i] = stateOf(f)
	}
	return states
}

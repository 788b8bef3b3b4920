package memory

import "errors"

// ErrUnavailable is wrapped by whatever keeps records where it cannot be reached or
// cannot write now: down, refused, locked, full, read-only. The same call may succeed
// later.
var ErrUnavailable = errors.New("store: database unavailable")

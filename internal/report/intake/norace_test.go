//go:build !race

package intake

// raced tells that the race detector is at work.
const raced = false

//go:build race

package intake

// raceFactor is how much more the race detector lets work cost.
const raceFactor = 12

//go:build race

package dkim

// raceDetector makes long tests shorter.
const raceDetector = true

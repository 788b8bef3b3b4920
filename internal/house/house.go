// Package house holds no code of its own: its tests keep the layers of the
// project in order, and its documents in step.
package house

// Package house holds no code of its own: its tests keep the layers of the
// project in order.
package house

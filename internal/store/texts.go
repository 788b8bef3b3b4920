package store

type textCache struct{}

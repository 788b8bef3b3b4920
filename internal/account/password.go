package account

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"dmarcd/internal/errkind"
)

// Cost of a password: argon2id (RFC 9106), with as much memory as two at a time can use
// alongside mail.
const (
	hashMemory  = 19 << 10 // KiB
	hashTime    = 2
	hashThreads = 1
	hashLength  = 32
	saltLength  = 16
)

// Bounds of passwords.
const (
	leastPassword = 12   // characters
	mostPassword  = 1024 // octets
)

// Passwords being processed, and waiting for it.
const (
	hashAtOnce  = 2
	hashWaiting = 32
)

// hasher processes few passwords at a time.
type hasher struct{ working, waiting chan struct{} }

func newHasher() *hasher {
	return &hasher{working: make(chan struct{}, hashAtOnce), waiting: make(chan struct{}, hashWaiting)}
}

// enter waits for a slot; the caller then calls leave.
func (h *hasher) enter(ctx context.Context) error {
	select {
	case h.waiting <- struct{}{}:
		defer func() { <-h.waiting }()
	default:
		return ErrBusy
	}
	select {
	case h.working <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *hasher) leave() { <-h.working }

// hash returns the stored form of a password.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	if err := h.enter(ctx); err != nil {
		return "", err
	}
	defer h.leave()
	salt := make([]byte, saltLength)
	_, _ = rand.Read(salt) // it never fails
	sum := argon2.IDKey([]byte(password), salt, hashTime, hashMemory, hashThreads, hashLength)
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, hashMemory, hashTime, hashThreads,
		b64.EncodeToString(salt), b64.EncodeToString(sum)), nil
}

// matches reports whether a password matches the stored form. Without one it takes as long
// and returns false.
func (h *hasher) matches(ctx context.Context, kept, password string) (bool, error) {
	if err := h.enter(ctx); err != nil {
		return false, err
	}
	defer h.leave()
	memory, times, threads := uint32(hashMemory), uint32(hashTime), uint8(hashThreads)
	salt, sum := make([]byte, saltLength), []byte{}
	if parts := strings.Split(kept, "$"); len(parts) == 6 && parts[1] == "argon2id" {
		_, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &memory, &times, &threads)
		s, saltErr := base64.RawStdEncoding.DecodeString(parts[4])
		k, keyErr := base64.RawStdEncoding.DecodeString(parts[5])
		if err == nil && saltErr == nil && keyErr == nil && memory > 0 && memory <= 1<<20 && times > 0 && times <= 16 && threads > 0 && len(k) >= hashLength {
			salt, sum = s, k
		}
	}
	got := argon2.IDKey([]byte(password), salt, times, memory, threads, uint32(max(len(sum), hashLength)))
	return len(sum) > 0 && subtle.ConstantTimeCompare(got, sum) == 1, nil
}

// checkPassword returns what is wrong with a new password.
func checkPassword(name, password string) error {
	switch {
	case !utf8.ValidString(password) || len(password) > mostPassword:
		return errkind.Errorf(errkind.BadRequest, "password: at most %d octets of UTF-8", mostPassword)
	case utf8.RuneCountInString(password) < leastPassword:
		return errkind.Errorf(errkind.BadRequest, "password: at least %d characters; several words do well", leastPassword)
	case strings.EqualFold(password, name):
		return errkind.Errorf(errkind.BadRequest, "password: not the user's name")
	}
	return nil
}

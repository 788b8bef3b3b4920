package settings

import "testing"

func TestStorePasswordIsNotRepeated(t *testing.T) {
	for text, want := range map[string]bool{
		"postgres://u:pw@h/db":              true,
		"mysql://u:pw@h/db":                 true,
		"postgres:u:pw@h/db":                true,
		"postgres://h/db?password=pw":       true,
		"postgres://h/db?sslPassword=pw":    true,
		"postgres://u@h:5432/db":            false,
		"postgres://h:5432/db":              false,
		"postgres://u@[2001:db8::1]:5432/d": false,
	} {
		if got := holdsPassword(text); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

package api

import (
	"context"
	"strings"
)

// ConfigShowRequest asks for the settings.
type ConfigShowRequest struct{}

// ConfigShown are the settings of the daemon.
type ConfigShown struct {
	File   string `json:"file,omitempty"` // that they were read from; none: the built-in ones
	YAML   string `json:"yaml"`           // all of them, defaults filled in
	Policy string `json:"policy"`         // likewise
}

// ConfigShow returns the settings in force, with defaults filled in. Secrets are in separate
// files; the settings only name them.
func ConfigShow() Op[ConfigShowRequest, ConfigShown] {
	return Op[ConfigShowRequest, ConfigShown]{
		Name: "config.show", Summary: "The settings in force, with defaults filled in.",
		Role: RoleAdmin, Scope: ScopeHost,
		Do: func(_ context.Context, s *Service, _ Viewer, _ ConfigShowRequest) (ConfigShown, error) {
			config := s.Settings()
			out := ConfigShown{File: config.File}
			var daemon, policy strings.Builder
			if err := config.Show(&daemon); err != nil {
				return out, err
			}
			err := config.Policy.Show(&policy)
			out.YAML, out.Policy = daemon.String(), policy.String()
			return out, err
		},
	}
}

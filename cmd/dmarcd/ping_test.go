package main

import (
	"testing"

	"dmarcd/internal/probe"
	"dmarcd/internal/settings"
)

func TestPingDomain(t *testing.T) {
	for _, c := range []struct{ name, policy, want string }{
		{"everything is ours", "{}", "mx.example.org"},
		{"authserv_id is managed", "managed: ['*.example.org', a.example]", "mx.example.org"},
		{"authserv_id has an entry", "{managed: [a.example], domains: {mx.example.org: {}}}", "mx.example.org"},
		{"first managed name", "managed: ['*.a.example', c.example, b.example]", "b.example"},
		{"managed before domains", "{managed: [b.example], domains: {a.example: {}}}", "b.example"},
		{"first entry", "{managed: ['*.z.example'], domains: {d.example: {}, c.example: {}}}", "c.example"},
		{"wildcard only", "managed: ['*.z.example']", "mail.z.example"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, _, err := settings.ParsePolicy("policy.yaml", "", []byte(c.policy))
			if err != nil {
				t.Fatal(err)
			}
			if got := probe.OurDomain(&settings.Settings{AuthServID: "mx.example.org", Policy: *p}); got != c.want {
				t.Errorf("ourDomain = %s, want %s", got, c.want)
			}
		})
	}
}

package api

import (
	"bytes"
	"cmp"
	"context"
	"net/netip"
	"slices"

	"dmarcd/internal/dns"
	"dmarcd/internal/errkind"
	"dmarcd/internal/message"
	"dmarcd/internal/settings"
)

// Placed is the position of something in a file.
type Placed struct {
	File      string `json:"file,omitempty"` // none: built in
	Line      int    `json:"line,omitempty"`
	Inherited bool   `json:"inherited,omitempty"` // it stands below default, which the entry inherits
}

func newPlaced(o settings.Origin) Placed {
	return Placed{File: o.At.File, Line: o.At.Line, Inherited: o.Inherited}
}

// PolicyShowRequest names a recipient domain and, to ask about a sender's mail, the sender.
type PolicyShowRequest struct {
	Domain string `json:"domain"`
	From   string `json:"from,omitempty"` // a From domain or address
	IP     string `json:"ip,omitempty"`   // with From: the client's address
	YAML   bool   `json:"yaml,omitempty"` // the settings as YAML too
}

// PolicyShown is the policy of a recipient domain.
type PolicyShown struct {
	Domain string `json:"domain"`
	Ours   bool   `json:"ours"`
	Placed
	Mode     string          `json:"mode"`
	Settings []PolicySetting `json:"settings,omitempty"` // where no sender was asked about
	YAML     string          `json:"yaml,omitempty"`
	From     string          `json:"from,omitempty"`
	IP       string          `json:"ip,omitempty"`
	Lists    []PolicyMatch   `json:"lists,omitempty"`    // what each list makes of the sender
	Outcomes []PolicyOutcome `json:"outcomes,omitempty"` // for each published policy and result
}

// PolicySetting is one key with its value as a line of YAML.
type PolicySetting struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	Placed
}

// PolicyMatch is the result of one part of the rules for a sender.
type PolicyMatch struct {
	Key   string `json:"key"`
	Entry string `json:"entry,omitempty"` // that the sender matches, as written
	Means string `json:"means"`
	Placed
}

// PolicyOutcome is the outcome for a sender's mail.
type PolicyOutcome struct {
	Published string `json:"published"`
	Result    string `json:"result"`
	Action    string `json:"action"`
	Reason    string `json:"reason"`
	Rule      string `json:"rule,omitempty"`
	Placed
}

// PolicyShow returns the policy of a recipient domain, or its effect on a sender's mail.
func PolicyShow() Op[PolicyShowRequest, PolicyShown] {
	return Op[PolicyShowRequest, PolicyShown]{
		Name: "policy.show", Summary: "The settings that a recipient domain follows, with their places.",
		Role: RoleViewer, Scope: ScopeDomains, Example: PolicyShowRequest{Domain: "example.org"},
		Do: showPolicy,
	}
}

func showPolicy(_ context.Context, s *Service, v Viewer, in PolicyShowRequest) (out PolicyShown, err error) {
	name, err := dns.Parse(in.Domain)
	if err != nil {
		return out, errkind.Errorf(errkind.BadRequest, "domain: %w", err)
	}
	if !v.Sees(name) {
		return out, errkind.Errorf(errkind.NotAllowed, "you may not see %s", name)
	}
	sender, err := in.sender()
	if err != nil {
		return out, err
	}
	config := s.Settings()
	t := config.Policy.EffectiveRules(name)
	out = PolicyShown{Domain: name.String(), Ours: t.Ours, Placed: Placed{File: t.At.File, Line: t.At.Line}, Mode: string(t.Rules.Mode)}
	switch {
	case !t.Ours:
	case sender.From.IsZero():
		for _, k := range t.Settings() {
			out.Settings = append(out.Settings, PolicySetting{Key: k.Key, Value: k.Value, Placed: newPlaced(k.Origin)})
		}
		if in.YAML {
			var text bytes.Buffer
			err = t.Show(&text)
			out.YAML = text.String()
		}
	default:
		sender.On = today(s)
		out.meet(config, t, sender)
	}
	return out, err
}

// sender returns the sender that From and IP describe.
func (r *PolicyShowRequest) sender() (out settings.Sender, err error) {
	if r.IP != "" {
		if r.From == "" {
			return out, errkind.Errorf(errkind.BadRequest, "an address needs the From domain to ask about")
		}
		ip, err := netip.ParseAddr(r.IP)
		if err != nil {
			return out, errkind.Errorf(errkind.BadRequest, "%q is not an IP address", r.IP)
		}
		out.IP = ip.Unmap().WithZone("")
	}
	if r.From == "" {
		return out, nil
	}
	if out.From = message.ParseAddress(r.From).Domain; !out.From.IsZero() {
		return out, nil
	}
	if out.From, err = dns.Parse(r.From); err != nil {
		return out, errkind.Errorf(errkind.BadRequest, "%q is neither a domain nor an address", r.From)
	}
	return out, nil
}

func (p *PolicyShown) meet(config *settings.Settings, t *settings.EffectiveRules, s settings.Sender) {
	p.From = s.From.String()
	if s.IP.IsValid() {
		p.IP = s.IP.String()
	}
	for _, f := range append(config.ClientMatches(s.IP), t.RuleMatches(s)...) {
		p.Lists = append(p.Lists, PolicyMatch{Key: f.Key, Entry: f.Entry, Means: f.Means, Placed: newPlaced(f.Origin)})
	}
	for _, m := range t.Predict(s) {
		d := m.Decision
		o := PolicyOutcome{Published: string(m.Published), Result: m.Result, Action: string(d.Would), Reason: string(d.Reason), Rule: d.Rule}
		if d.Rule != "" {
			o.Placed = newPlaced(m.Origin)
		}
		p.Outcomes = append(p.Outcomes, o)
	}
}

// PolicyListRequest asks for the entries whose domains follow After in alphabetical order.
type PolicyListRequest struct {
	After string `json:"after,omitempty"`
	Limit int    `json:"limit,omitempty"` // 0 for 100
}

// PolicyListed is a page of entries.
type PolicyListed struct {
	Entries []PolicyEntry `json:"entries"`
	After   string        `json:"after,omitempty"` // of the next page; "" where there is none
}

// PolicyEntry is one domain entry of the policy.
type PolicyEntry struct {
	Domain string `json:"domain"`
	Mode   string `json:"mode"`
	Placed
	Differs []PolicySetting `json:"differs,omitempty"` // what is otherwise than in `default`
}

// PolicyList lists the domain entries, with the differences of each from `default`.
func PolicyList() Op[PolicyListRequest, PolicyListed] {
	return Op[PolicyListRequest, PolicyListed]{
		Name: "policy.list", Summary: "Every domain entry with its mode and what differs from the default.",
		Role: RoleViewer, Scope: ScopeDomains, Do: listPolicy,
	}
}

func listPolicy(_ context.Context, s *Service, v Viewer, in PolicyListRequest) (out PolicyListed, err error) {
	p := &s.Settings().Policy
	var names []dns.Name
	for name := range p.Domains {
		if v.Sees(name) && name.String() > in.After {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b dns.Name) int { return cmp.Compare(a.String(), b.String()) })
	limit := pageLimit(in.Limit)
	out.Entries = []PolicyEntry{}
	for _, name := range names[:min(limit, len(names))] {
		e := PolicyEntry{Domain: name.String(), Mode: string(p.Domains[name].Mode)}
		at := p.PlaceOf(name)
		e.File, e.Line = at.File, at.Line
		for _, d := range p.Differences(name) {
			e.Differs = append(e.Differs, PolicySetting{Key: d.Key, Value: d.Value})
		}
		out.Entries = append(out.Entries, e)
	}
	if len(names) > limit {
		out.After = names[limit-1].String()
	}
	return out, nil
}

// ConfigFilesRequest asks for the files in force.
type ConfigFilesRequest struct{}

// ConfigFiles are the texts of the files in force.
type ConfigFiles struct {
	Daemon *PolicyFile  `json:"daemon,omitempty"` // dmarcd.yaml; nil where the built-in one holds
	Policy []PolicyFile `json:"policy"`           // policy.yaml first; empty where the built-in one holds

	StateDir string `json:"state_dir"`
}

// ConfigInForce returns the texts of the files in force, whatever the disk holds by now.
func ConfigInForce() Op[ConfigFilesRequest, ConfigFiles] {
	return Op[ConfigFilesRequest, ConfigFiles]{
		Name: "config.files", Summary: "The texts of the configuration files in force.",
		Role: RoleAdmin, Scope: ScopeHost,
		Do: func(_ context.Context, s *Service, _ Viewer, _ ConfigFilesRequest) (out ConfigFiles, err error) {
			config := s.Settings()
			if config.File != "" {
				out.Daemon = &PolicyFile{Path: config.Text.Path, Text: string(config.Text.Data)}
			}
			out.Policy, out.StateDir = PolicyFiles(config.Policy.Texts), config.StateDir
			return out, nil
		},
	}
}

// Settings parses the settings in the files. Hostname is the name of this host.
func (c *ConfigFiles) Settings(hostname string) (*settings.Settings, error) {
	texts := policyTexts(c.Policy)
	if c.Daemon != nil {
		return settings.FromTexts(settings.Text{Path: c.Daemon.Path, Data: []byte(c.Daemon.Text)}, texts, hostname)
	}
	config, err := settings.Builtin(hostname, c.StateDir)
	if err != nil {
		return nil, err
	}
	p, _, err := settings.ReadTexts(texts)
	if err != nil {
		return nil, err
	}
	config.Policy = *p
	return config, nil
}

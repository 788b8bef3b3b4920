package main

import (
	"fmt"
	"io"
	"net/netip"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"dmarcd/internal/dns"
	"dmarcd/internal/message"
	"dmarcd/internal/policy"
	"dmarcd/internal/settings"
)

// showOptions are the flags of `dmarcd policy show`.
type showOptions struct {
	config  string
	why, ip string
	asJSON  bool
}

func policyShowCommand(s streams) *cobra.Command {
	o := &showOptions{}
	c := &cobra.Command{
		Use:   "show DOMAIN",
		Short: "Show the effective settings of a recipient domain, and what a sender would meet",
		Long: `Print what happens to mail for a recipient domain: its own entry or the default, with
every key filled in, as YAML. A comment says where each key comes from: file and line,
"inherited from default" where the entry says inherit: default, and "default" for
what is built in.

With --why and a From domain (or address), print instead which entries of which lists
mail from there meets, and what becomes of it for each policy that the domain may
publish and each result, with the key that decides. --ip names the client.

Exit code 0: the domain is ours; 1: it is not, and mail for it is not checked.`,
		Example: `  dmarcd policy show example.org
  dmarcd policy show example.org --why news.bank.example --ip 192.0.2.7`,
		Args: arguments(1, 1, "name a recipient domain"),
	}
	path := configFlag(c)
	f := c.Flags()
	f.StringVar(&o.why, "why", "", "tell what mail From this domain or address would meet")
	f.StringVar(&o.ip, "ip", "", "with --why: address of the SMTP client")
	f.BoolVar(&o.asJSON, "json", false, "one JSON object")
	c.RunE = func(_ *cobra.Command, args []string) error {
		o.config = *path
		return policyShow(o, args[0], s)
	}
	return c
}

func policyShow(o *showOptions, domain string, s streams) error {
	name, err := dns.Parse(domain)
	if err != nil {
		return usageError(err)
	}
	sender, err := o.sender()
	if err != nil {
		return usageError(err)
	}
	config, err := lookAtSettings(o.config, s.err)
	if err != nil {
		return err
	}
	trace := config.Policy.Trace(name)
	report := newShowReport(trace)
	switch {
	case !trace.Ours:
	case o.why == "":
		report.list(trace)
	default:
		report.meet(config, trace, sender)
	}
	switch {
	case o.asJSON:
		err = s.json().Encode(report)
	case !trace.Ours:
		_, err = fmt.Fprintf(s.out, "# %s is not ours: it is neither below \"domains\" nor in \"managed\"; mail for it is not checked\n", name)
	case o.why == "":
		fmt.Fprintf(s.out, "# %s follows %s\n", name, report.place())
		err = trace.Show(s.out)
	default:
		err = report.print(s.out)
	}
	if err != nil {
		return troubleError(err)
	}
	if !trace.Ours {
		return answerNo()
	}
	return nil
}

// sender is whom --why and --ip ask about.
func (o *showOptions) sender() (settings.Sender, error) {
	var s settings.Sender
	if o.ip != "" {
		if o.why == "" {
			return s, fmt.Errorf("--ip needs --why: the From domain to ask about")
		}
		ip, err := netip.ParseAddr(o.ip)
		if err != nil {
			return s, fmt.Errorf("--ip %q is not an IP address", o.ip)
		}
		s.IP = ip.Unmap().WithZone("")
	}
	if o.why == "" {
		return s, nil
	}
	s.From = message.ParseAddress(o.why).Domain
	if !s.From.IsZero() {
		return s, nil
	}
	from, err := dns.Parse(o.why)
	if err != nil {
		return s, fmt.Errorf("--why %q is neither a domain nor an address", o.why)
	}
	s.From = from
	return s, nil
}

// showReport is what `dmarcd policy show` tells.
type showReport struct {
	Domain   string          `json:"domain"`
	Ours     bool            `json:"ours"`
	File     string          `json:"file,omitempty"` // none: the built-in default
	Line     int             `json:"line,omitempty"`
	Mode     string          `json:"mode"`
	Settings []settingReport `json:"settings,omitempty"`
	From     string          `json:"from,omitempty"`
	IP       string          `json:"ip,omitempty"`
	Lists    []findingReport `json:"lists,omitempty"`
	Meetings []meetingReport `json:"meetings,omitempty"`
}

type settingReport struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	placed
}

type findingReport struct {
	Key   string `json:"key"`
	Entry string `json:"entry,omitempty"`
	Says  string `json:"says"`
	placed
	where string
}

type meetingReport struct {
	Published string `json:"published"`
	Result    string `json:"result"`
	Action    string `json:"action"`
	Reason    string `json:"reason"`
	Rule      string `json:"rule,omitempty"`
	placed
	where string
}

func newShowReport(t *settings.Trace) *showReport {
	return &showReport{
		Domain: t.Domain.String(), Ours: t.Ours, File: t.At.File, Line: t.At.Line, Mode: string(t.Rules.Mode),
	}
}

func (r *showReport) place() string { return follows(settings.Place{File: r.File, Line: r.Line}) }

func (r *showReport) list(t *settings.Trace) {
	for _, s := range t.Settings() {
		r.Settings = append(r.Settings, settingReport{Key: s.Key, Value: s.Value, placed: newPlaced(s.Origin)})
	}
}

func (r *showReport) meet(config *settings.Settings, t *settings.Trace, s settings.Sender) {
	r.From = s.From.String()
	if s.IP.IsValid() {
		r.IP = s.IP.String()
	}
	for _, f := range append(config.ClientFindings(s.IP), t.Findings(s)...) {
		r.Lists = append(r.Lists, findingReport{Key: f.Key, Entry: f.Entry, Says: f.Says, placed: newPlaced(f.Origin), where: f.Origin.String()})
	}
	for _, m := range t.Meetings(s) {
		d := m.Decision
		part := meetingReport{
			Published: string(m.Published), Result: m.Result, Action: string(d.Would), Reason: string(d.Reason),
			Rule: d.Rule, placed: newPlaced(m.Origin),
		}
		if d.Rule != "" {
			part.where = m.Origin.String()
		}
		r.Meetings = append(r.Meetings, part)
	}
}

// print writes what a sender meets as two tables.
func (r *showReport) print(w io.Writer) error {
	fmt.Fprintf(w, "# %s follows %s\n", r.Domain, r.place())
	client := "client not named"
	if r.IP != "" {
		client = "client " + r.IP
	}
	fmt.Fprintf(w, "# mail From %s, %s\n", r.From, client)
	if r.Mode == string(policy.Monitor) {
		fmt.Fprintln(w, "# mode monitor only watches: nothing of this is carried out")
	}
	fmt.Fprintln(w)
	const gap = 2
	t := tabwriter.NewWriter(w, 0, 0, gap, ' ', 0)
	fmt.Fprintln(t, "LIST\tENTRY\tWHERE\tMEANS")
	for _, f := range r.Lists {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\n", f.Key, orDash(f.Entry), f.where, f.Says)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	fmt.Fprintln(t, "PUBLISHED\tRESULT\tACTION\tREASON\tKEY\tWHERE")
	for _, m := range r.Meetings {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", m.Published, m.Result, m.Action, m.Reason, orDash(m.Rule), orDash(m.where))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprint(w, `
pass: SPF and DKIM both pass for the From domain. fail: SPF fails, there is no
signature. temperror: DNS did not let either be checked.
`)
	return err
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

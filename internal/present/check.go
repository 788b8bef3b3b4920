package present

import (
	"fmt"
	"io"

	"dmarcd/internal/explain"
	"dmarcd/internal/filter"
	"dmarcd/internal/settings"
	"dmarcd/internal/text"
)

// CheckReport is the output of `dmarcd check`: that of `dmarcd explain` for the message, and what only a
// command knows.
type CheckReport struct {
	*explain.Explanation
	Relay         *relayReport `json:"relay,omitempty"` // with --relay
	SecondOpinion []string     `json:"second_opinion,omitempty"`
}

// relayReport is what the relays' header fields state about the client.
type relayReport struct {
	Network string `json:"network"`
	Client  string `json:"client,omitempty"` // "" if it cannot be read
	Helo    string `json:"helo,omitempty"`
	Login   bool   `json:"login,omitempty"` // the client logged in to one of the relays
	Hops    int    `json:"hops"`            // relays whose field was read
	Field   string `json:"field,omitempty"` // the unreadable field
}

func NewRelayReport(relay *settings.ClientIPSource, c filter.TrueClient) *relayReport {
	r := &relayReport{Network: relay.Relay.String(), Helo: c.Helo, Login: c.Login, Hops: c.Hops, Field: c.Field}
	if c.Addr.IsValid() {
		r.Client = c.Addr.String()
	}
	return r
}

// String describes the result in a sentence.
func (r *relayReport) String() string {
	switch {
	case r.Login:
		return fmt.Sprintf("the client %s logged in to a relay, after %s", r.Client, text.Count(int64(r.Hops), "hop"))
	case r.Client != "":
		return fmt.Sprintf("the client is %s, HELO %q, after %s", r.Client, r.Helo, text.Count(int64(r.Hops), "hop"))
	case r.Field != "":
		return "the client cannot be read from: " + r.Field
	}
	return "no Received field names a client"
}

func NewCheckReport(config *settings.Settings, o *filter.Result, language explain.Language) *CheckReport {
	told := *config
	told.Log.Addresses = true // they were given on the command line, and are not kept
	record := o.Record(filter.Remember{Settings: &told, Sampled: true, Offline: true})
	record.QueueID = ""
	e := explain.New(record, explain.Options{Language: language, Offline: true, Bypassed: o.Bypassed != "", Policy: config.Policy.Source()})
	for _, f := range o.Change {
		e.Changed = append(e.Changed, f.Name+":"+unfold(f.Value))
	}
	return &CheckReport{Explanation: e}
}

func (r *CheckReport) print(w io.Writer) error {
	if err := r.WriteText(w); err != nil {
		return err
	}
	if r.Relay != nil {
		fmt.Fprintf(w, "\nRelay %s\n  %s\n", r.Relay.Network, text.Line(r.Relay.String(), MaxLine))
	}
	for i, line := range r.SecondOpinion {
		if i == 0 {
			fmt.Fprintln(w, "\nSecond opinion")
		}
		fmt.Fprintf(w, "  %s\n", line)
	}
	return nil
}

package console

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"dmarcd/internal/api"
	"dmarcd/internal/dns"
	"dmarcd/internal/errkind"
	"dmarcd/internal/explain"
)

// activityData is the data of the activity page.
type activityData struct {
	api.MessagesPage
	Live bool // the newest page: it may show what comes
}

// messageNames are the column names of a message in CSV.
func messageNames() []string {
	return []string{"at", "queue_id", "message_id", "client", "from", "rcpt", "action", "would", "reason", "rule", "dmarc", "host", "held"}
}

func activityPage(v *visit) error {
	p := &page{Template: "activity", Title: v.t("Activity"), Section: sectionMail, Tab: "/mail"}
	q := v.r.URL.Query()
	bar := &filterBar{Path: "/mail/activity", Fields: []field{
		{Key: "from", Label: v.t("From domain"), Value: q.Get("from"), Hint: "bank.example"},
		{Key: "rcpt-domain", Label: v.t("To domain"), Value: q.Get("rcpt-domain"), Hint: "example.org"},
		{Key: "client", Label: v.t("Client"), Value: q.Get("client"), Hint: "198.51.100.0/24"},
		{Key: "action", Label: v.t("Action"), Kind: "select", Options: v.states(q.Get("action"), "bypass", "quarantine", "reject", "defer", "discard")},
		{Key: "since", Label: v.t("Since"), Kind: "select", Options: options(q.Get("since"), "", v.t("ever"), "1h", v.t("the last hour"), "1d", v.t("the last day"), "7d", v.t("Last 7 days"))},
	}}
	in := api.MessagesRequest{
		From: q.Get("from"), RcptDomain: q.Get("rcpt-domain"), Client: q.Get("client"), Action: q.Get("action"), Refused: q.Get("refused") != "",
		After: v.query("after"), Limit: v.limit(),
	}
	got, err := v.messages(&in, q.Get("since"))
	if err != nil {
		return v.refused(p, bar, err)
	}
	switch v.format() {
	case asJSON:
		return v.writeJSON(got)
	case asCSV:
		return writeCSV(v, messageNames(), got.Messages, got.After, func(after string) ([]api.Message, string, error) {
			in.After = after
			more, err := ask(v, api.MessagesList(), in)
			return more.Messages, more.After, err
		})
	}
	p.Bar, p.Data = bar, activityData{MessagesPage: got, Live: in.After == ""}
	return v.show(p)
}

// messages requests mail since a time in the form of a link.
func (v *visit) messages(in *api.MessagesRequest, since string) (api.MessagesPage, error) {
	if since != "" {
		span, err := api.ParseSpan(since, "", v.Service.Now())
		if err != nil {
			return api.MessagesPage{}, errkind.Wrap(errkind.BadRequest, err)
		}
		in.Since = span.Since
	}
	return ask(v, api.MessagesList(), *in)
}

// messageData is the data of the page of one message.
type messageData struct {
	*explain.Explanation
	ID      string
	Others  []api.OtherMessage
	Aligned alignments
}

// alignments are the checks that authenticate the From domain.
type alignments []struct{ Check, Domain, Result, Alignment string }

func messagePage(v *visit) error {
	id := v.r.PathValue("id")
	got, err := ask(v, api.MessagesExplain(), api.ExplainRequest{ID: id, All: true, Language: explain.Language(v.lang)})
	if err != nil {
		if errkind.Of(err) == errkind.NotFound {
			v.render(http.StatusNotFound, &page{Template: "nomessage", Title: v.t("No message with this id"), Section: sectionMail, Tab: "/mail", Data: id})
			return nil
		}
		return err
	}
	d := messageData{ID: id, Explanation: got.Messages[0]}
	at, _ := time.Parse(time.RFC3339Nano, v.query("at")) // the newest where it is none
	for _, m := range got.Messages {
		if m.Message.At.Equal(at) {
			d.Explanation = m
		}
	}
	for _, m := range got.Messages {
		if m != d.Explanation {
			d.Others = append(d.Others, api.OtherMessage{At: m.Message.At, QueueID: m.Message.QueueID, Action: m.Action, From: m.Message.From})
		}
	}
	d.Aligned = vouching(d.Explanation)
	return v.show(&page{
		Template: "message", Title: v.t("Message %s", id), Section: sectionMail, Tab: "/mail", Data: d,
		Crumbs: []link{{URL: "/mail", Name: v.t("Activity")}, {Name: id}},
	})
}

// vouching returns the checks of a message, with the result of each for the From domain.
func vouching(e *explain.Explanation) (out alignments) {
	type row = struct{ Check, Domain, Result, Alignment string }
	if e.SPF.Result != "" {
		out = append(out, row{"SPF", e.SPF.Domain, e.SPF.Result, e.SPF.Alignment})
	}
	for _, k := range e.DKIM {
		domain := k.Domain
		if k.Selector != "" {
			domain += " s=" + k.Selector
		}
		out = append(out, row{"DKIM", domain, k.Result, k.Alignment})
	}
	return out
}

// heldData is the data of the page of held mail.
type heldData struct {
	api.HeldPage
	Commands bool // the visitor may run them
}

func heldPage(v *visit) error {
	in := api.HeldRequest{After: v.query("after"), Limit: v.limit()}
	got, err := ask(v, api.HeldList(), in)
	if err != nil {
		return err
	}
	switch v.format() {
	case asJSON:
		return v.writeJSON(got)
	case asCSV:
		return writeCSV(v, append(messageNames(), "hold"), got.Messages, got.After, func(after string) ([]api.HeldMessage, string, error) {
			in.After = after
			more, err := ask(v, api.HeldList(), in)
			return more.Messages, more.After, err
		})
	}
	return v.show(&page{Template: "held", Title: v.t("Held mail"), Section: sectionMail, Tab: "/mail/held", Data: heldData{got, !v.viewer.Limited()}})
}

// findData is the data of a search without a single hit.
type findData struct {
	Asked string
	Hits  []link
}

// find redirects to the requested item, or offers where to look.
func find(v *visit) error {
	asked := v.query("q")
	if asked == "" {
		return v.to("/mail")
	}
	if len(asked) > maxAsked {
		return errkind.Errorf(errkind.BadRequest, "that is too long to be searched for")
	}
	d := findData{Asked: asked}
	to := func(name, path string, key ...string) {
		q := url.Values{}
		for i := 0; i+1 < len(key); i += 2 {
			q.Set(key[i], key[i+1])
		}
		if len(q) > 0 {
			path += "?" + q.Encode()
		}
		d.Hits = append(d.Hits, link{URL: path, Name: name})
	}
	_, addressErr := netip.ParseAddr(asked)
	_, networkErr := netip.ParsePrefix(asked)
	if addressErr == nil || networkErr == nil {
		to(v.t("Mail from the client %s", asked), "/mail", "client", asked)
		to(v.t("What received reports say of %s", asked), "/analysis/details", "ip", asked)
		to(v.t("Sending sources at %s", asked), "/analysis/sources", "ip", asked)
	} else {
		if _, err := ask(v, api.MessagesExplain(), api.ExplainRequest{ID: asked}); err == nil {
			return v.to("/mail/m/" + url.PathEscape(asked))
		} else if errkind.Of(err) == errkind.Trouble {
			return err
		}
		if name, err := dns.Parse(asked[strings.LastIndexByte(asked, '@')+1:]); err == nil && strings.Contains(name.String(), ".") {
			to(v.t("Mail that says it is from %s", name.String()), "/mail", "from", name.String())
			to(v.t("Mail to %s", name.String()), "/mail", "rcpt-domain", name.String())
			to(v.t("Settings of %s", name.String()), "/policy/"+name.String())
			to(v.t("DMARC record of %s", name.String()), "/analysis/config/"+name.String())
			to(v.t("The source %s in received reports", name.String()), "/analysis/sources", "service", name.String())
		}
	}
	return v.show(&page{Template: "find", Title: v.t("Search"), Data: d})
}

// maxAsked bounds a search text, in octets.
const maxAsked = 1000

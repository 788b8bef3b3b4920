package console

import (
	"strings"
	"time"

	"dmarcd/internal/api"
	"dmarcd/internal/errkind"
	"dmarcd/internal/report/analysis"
)

// step is one of the first steps of an installation.
type step struct {
	What  string
	Done  bool
	Since time.Time // when it came true; zero where that is not known
	Says  string
	Lines string // to paste
	URL   string
	Link  string
}

// homeData is the data of the start page.
type homeData struct {
	Steps   []step // none where all hold
	Answers []answer
	Refused []api.Message // the latest
}

// answer is the answer to one of the daily questions.
type answer struct {
	Ask, Kind, Says, Detail, URL string
}

func home(v *visit) error {
	d := homeData{}
	in := v.figures()
	counted, err := v.counted(in)
	if err == nil && counted.Reports > 0 {
		d.Answers, err = v.answers(in, counted)
	}
	if err != nil && errkind.Of(err) != errkind.Trouble { // mail alone has pages too
		return err
	}
	if !v.viewer.Limited() {
		if d.Steps, err = v.firstSteps(counted); err != nil {
			return err
		}
	}
	mail, err := ask(v, api.MessagesList(), api.MessagesRequest{Refused: true, Limit: 10, Period: api.Period{Since: v.Service.Now().Add(-homeMail)}})
	if err != nil {
		return err
	}
	d.Refused = mail.Messages
	return v.show(&page{Template: "home", Title: v.t("Home"), Data: d})
}

// homeMail is how far back the start page looks for rejected mail.
const homeMail = 24 * time.Hour

// firstSteps returns the open steps of an installation, or none if all are done. Counted is recent mail.
func (v *visit) firstSteps(counted *api.Counted) ([]step, error) {
	status, err := ask(v, api.DaemonStatus(), api.StatusRequest{})
	if err != nil {
		return nil, err
	}
	mail, err := ask(v, api.MessagesList(), api.MessagesRequest{Limit: 1})
	if err != nil {
		return nil, err
	}
	if counted.Reports == 0 {
		counted, err = v.counted(api.FiguresRequest{Criteria: analysis.Criteria{Period: "all"}})
		if err != nil && errkind.Of(err) != errkind.Trouble {
			return nil, err
		}
	}
	judged := step{What: v.t("First message judged"), Done: len(mail.Messages) > 0}
	if judged.Done {
		judged.Since = mail.Messages[0].At
	} else {
		judged.Says = v.t("Send a message from outside, or try dmarcd ping on this host.")
	}
	out := []step{v.connectStep(&status, judged.Done), judged, {
		What: v.t("Publish a record that reports to us"), Done: status.Analysis.Records[analysis.WordInEffect] > 0 || counted.Reports > 0,
		Says: v.t("Set analysis.addresses to a mailbox of yours that dmarcd sees, then publish what this makes:"), Lines: "dmarcd record generate example.org",
	}, {
		What: v.t("First report read"), Done: counted.Reports > 0, Since: counted.Newest,
		Says: v.t("Reports usually begin to arrive within 24 to 48 hours."),
	}, {
		What: v.t("Add a user"), Done: !v.guest, Says: v.t("The first one should be an admin:"), Lines: "sudo dmarcd user add NAME --role admin",
	}}
	for _, s := range out {
		if !s.Done {
			return out, nil
		}
	}
	return nil, nil
}

// connectStep shows the lines for the MTA.
func (v *visit) connectStep(status *api.Status, judged bool) step {
	out := step{What: v.t("Connect the MTA"), Done: judged}
	for _, s := range status.Sockets {
		out.Done = out.Done || s.Connections > 0
	}
	if !out.Done && len(status.Sockets) > 0 {
		socket := postfixSocket(status.Sockets[0].Socket)
		out.Says = v.t("No mail has come yet. Paste these lines into Postfix's main.cf, then run postfix reload:")
		out.Lines = "smtpd_milters = " + socket + "\nmilter_default_action = accept\nmilter_protocol = 6"
	}
	return out
}

// postfixSocket formats a socket of ours for Postfix.
func postfixSocket(socket string) string {
	if rest, ok := strings.CutPrefix(socket, "inet:"); ok {
		if port, host, ok := strings.Cut(rest, "@"); ok {
			return "inet:" + host + ":" + port
		}
	}
	if rest, ok := strings.CutPrefix(socket, "local:"); ok {
		return "unix:" + rest
	}
	return socket
}

// helpEntry explains a word.
type helpEntry struct{ ID, Word, Says string }

func help(v *visit) error {
	return v.show(&page{Template: "help", Title: v.t("Help"), Data: []helpEntry{
		{"compliant", v.t("Compliant"), v.t("A message is compliant if SPF passes and aligns with the From domain, or DKIM passes and aligns. One of them is enough. The figures follow what the reporter found.")},
		{"aligned", v.t("Aligned"), v.t("The domain that SPF or DKIM speaks for is the From domain or, unless the record asks for strict alignment, shares its organizational domain.")},
		{"source", v.t("Sending source"), v.t("The email service that sent the mail, told by its domain; below it the hosts that its addresses are called, and below them the addresses.")},
		{"preliminary", v.t("Preliminary"), v.t("Reports trail mail by one to three days: the figures of the last two days still grow.")},
		{"domains", v.t("Which domains appear"), v.t("The managed domains: those of analysis.domains or, without it, of policy.yaml. Below the table of the overview stand those that do not report to us.")},
		{"propagation", v.t("After a change in DNS"), v.t("It takes time until every DNS server has a changed record: as long as the TTL of the old one. Verify says which one is seen now.")},
		{"held", v.t("Held mail"), v.t("Mail that waits in the hold queue of the MTA of this host. It stays there until somebody releases or deletes it by the MTA's own commands, which need root.")},
	}})
}

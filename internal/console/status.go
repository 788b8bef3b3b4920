package console

import (
	"time"

	"dmarcd/internal/api"
)

// checked is one line of the status: its state, and what to do.
type checked struct {
	State string // ok, warning or fault
	What  string
	Says  string
	Step  string // where something is to be done
}

// statusData is the data of the status page.
type statusData struct {
	api.Status
	Checks []checked
	Worst  string
}

// slowStore is how old the oldest record missing from the store may be.
const slowStore = time.Minute

func statusPage(v *visit) error {
	got, err := ask(v, api.DaemonStatus(), api.StatusRequest{})
	if err != nil {
		return err
	}
	d := statusData{Status: got, Checks: v.checkStatus(&got), Worst: "ok"}
	for _, c := range d.Checks {
		if c.State == "fault" || c.State == "warning" && d.Worst == "ok" {
			d.Worst = c.State
		}
	}
	return v.show(&page{Template: "status", Title: v.t("Status"), Section: sectionMail, Tab: "/mail/status", Data: d})
}

// checkStatus returns the state of each part.
func (v *visit) checkStatus(s *api.Status) []checked {
	out := []checked{v.checkSockets(s)}
	if n := len(s.Faults); n > 0 {
		out = append(out, checked{"fault", v.t("Configuration files"), v.t("%d faults on disk; what was read before stays in force, and no mail is lost.", n), v.t("Mend the lines below; the files are read again by themselves.")})
	} else {
		out = append(out, checked{State: "ok", What: v.t("Configuration files"), Says: v.t("No faults on disk.")})
	}
	switch lag := time.Duration(s.Store.LagS * float64(time.Second)); {
	case !s.Store.Up:
		out = append(out, checked{"fault", v.t("Store"), v.t("It cannot be reached. Mail is filtered; its records wait in the journal."), v.t("See to the database; nothing else is to be done.")})
	case lag > slowStore:
		out = append(out, checked{"warning", v.t("Store"), v.t("It is %s behind.", lag.Round(time.Second)), v.t("Look whether the database is slow or its disk full.")})
	default:
		out = append(out, checked{State: "ok", What: v.t("Store"), Says: v.t("It is up to date.")})
	}
	switch {
	case !s.Reports.Enabled:
		out = append(out, checked{State: "ok", What: v.t("Reports to senders"), Says: v.t("They are off (reports.enabled).")})
	case s.Reports.Failed > 0:
		out = append(out, checked{"warning", v.t("Reports to senders"), v.t("%d failed in the last week, %d are queued.", s.Reports.Failed, s.Reports.Queued), v.t("Outgoing Reports says why, and sends again.")})
	default:
		out = append(out, checked{State: "ok", What: v.t("Reports to senders"), Says: v.t("%d are queued.", s.Reports.Queued)})
	}
	if s.Analysis.Error != "" {
		out = append(out, checked{"fault", v.t("Received reports"), s.Analysis.Error, v.t("They wait on disk until the store takes them.")})
	} else if s.Analysis.Enabled {
		out = append(out, checked{State: "ok", What: v.t("Received reports"), Says: v.t("%d mails wait on disk.", s.Analysis.Spooled)})
	}
	for _, f := range s.Analysis.Feeds {
		if f.Error != "" {
			out = append(out, checked{"warning", v.t("Feed %s", f.Name), f.Error, v.t("It is tried again by itself.")})
		}
	}
	for _, r := range s.Relays {
		if r.Unread > 0 {
			out = append(out, checked{"warning", v.t("Relay %s", r.Network), v.t("Of %d messages the true client could not be read.", r.Unread), v.t("dmarcd check --relay shows what is read of a message.")})
		}
	}
	return out
}

// checkSockets reports whether an MTA is connected.
func (v *visit) checkSockets(s *api.Status) checked {
	open := 0
	for _, k := range s.Sockets {
		open += k.Connections
	}
	if open == 0 {
		return checked{"warning", v.t("MTA"), v.t("No MTA is connected just now."), v.t("An idle MTA closes its connections; after mail has come, look again.")}
	}
	return checked{State: "ok", What: v.t("MTA"), Says: v.t("%d connections are open.", open)}
}

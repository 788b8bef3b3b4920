package outgoing

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"dmarcd/internal/memory"
)

// FilterText is a Filter as the flags of a command give it.
type FilterText struct {
	Domain, Day, Since, Until, State, Kind, To string
}

// Parse reads the flags; its errors name them.
func (f *FilterText) Parse(now time.Time) (Filter, error) {
	out := Filter{Kind: Kind(f.Kind), State: State(f.State), To: f.To}
	if f.Domain != "" {
		name, err := ParseTarget(f.Domain)
		if err != nil || strings.Contains(name, "@") {
			return out, fmt.Errorf("--domain %q is no domain", f.Domain)
		}
		out.Domain = name
	}
	if f.Kind != "" && out.Kind != KindAggregate && out.Kind != KindFailure {
		return out, fmt.Errorf("--kind is %s or %s, not %q", KindAggregate, KindFailure, f.Kind)
	}
	if f.Day != "" && (f.Since != "" || f.Until != "") {
		return out, errors.New("--day and --since or --until do not go together")
	}
	for _, d := range []struct {
		name, text string
		into       []**memory.Day
	}{
		{"--day", f.Day, []**memory.Day{&out.Since, &out.Until}},
		{"--since", f.Since, []**memory.Day{&out.Since}},
		{"--until", f.Until, []**memory.Day{&out.Until}},
	} {
		if d.text == "" {
			continue
		}
		day, err := ParseDay(d.text, now)
		if err != nil {
			return out, fmt.Errorf("%s: %w", d.name, err)
		}
		for _, into := range d.into {
			*into = &day
		}
	}
	return out, nil
}

// ParseDay reads a day, or a word for one.
func ParseDay(word string, now time.Time) (memory.Day, error) {
	switch word {
	case "today":
		return memory.DayOf(now), nil
	case "yesterday":
		return memory.DayOf(now) - 1, nil
	}
	return memory.ParseDay(word)
}

// NameReport reads what names a report: its number, its Report-ID, or a domain with day.
func NameReport(name, day string, now time.Time) (ShowRequest, error) {
	if id, err := strconv.ParseInt(name, 10, 64); err == nil && id > 0 {
		return ShowRequest{ID: id}, nil
	}
	target, err := ParseTarget(name)
	if err != nil {
		return ShowRequest{}, err
	}
	if !strings.Contains(target, ".") {
		return ShowRequest{ReportID: target}, nil
	}
	d, err := ParseDay(day, now)
	return ShowRequest{Domain: target, Day: &d}, err
}

// RetryText is what to retry, as text from command flags.
type RetryText struct {
	Filter   FilterText
	Delivery int64
	Failed   bool
}

// Request reads the flags and the arguments; its errors name them.
func (o *RetryText) Request(args []string, now time.Time) (RetryRequest, error) {
	filter, err := o.Filter.Parse(now)
	r := RetryRequest{Delivery: o.Delivery, Filter: filter}
	if err != nil {
		return r, err
	}
	if len(args) == 1 {
		if r.Report, err = strconv.ParseInt(args[0], 10, 64); err != nil || r.Report <= 0 {
			return r, fmt.Errorf("%q is not the number of a report; \"dmarcd report list\" shows them", args[0])
		}
	}
	chosen := 0
	for _, yes := range []bool{r.Report != 0, r.Delivery != 0, o.Failed || r.Filter.State != ""} {
		if yes {
			chosen++
		}
	}
	if chosen != 1 {
		return r, errors.New("what is to be tried again? Give the number of a report, --delivery, --failed or --state, and one of them only")
	}
	if o.Failed && r.Filter.State != "" && r.Filter.State != StateFailed {
		return r, errors.New("--failed and --state do not go together")
	}
	return r, nil
}

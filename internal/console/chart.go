package console

import (
	"fmt"
	"html/template"
	"strings"
	"time"

	"dmarcd/internal/memory"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/text"
)

// Charts are SVG without a viewBox: widths in per cent, heights in pixels, so that text and hatching
// keep their shape at every width.

// Sizes of charts, in pixels.
const (
	plotTop    = 8
	plotBase   = 170 // y of zero
	labelLine  = 186 // of the days
	stripTop   = 206 // of compliance: 100 %
	stripBase  = 246
	plotHeight = 256
	axisWidth  = 44
)

// shareBar draws a share as a bar with its number. A share above zero is always visible.
func shareBar(part, whole int64) template.HTML {
	if whole == 0 {
		return `<span class="share"><b>–</b></span>`
	}
	const width = 60.0
	ok := width * float64(part) / float64(whole)
	const least = 3
	switch {
	case part > 0 && ok < least:
		ok = least
	case part < whole && ok > width-least:
		ok = width - least
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<span class="share"><svg width="60" height="10" aria-hidden="true"><rect class="fill-ok" width="%.1f" height="10"/>`, ok)
	if part < whole {
		fmt.Fprintf(&b, `<rect x="%.1f" width="%.1f" height="10" fill="url(#hatch)"/>`, ok, width-ok)
	}
	fmt.Fprintf(&b, `</svg><b>%s</b></span>`, template.HTMLEscapeString(percent(part, whole)))
	return template.HTML(b.String())
}

// series is the data of a chart of days.
type series struct {
	Lang        language
	ID          string // that no other chart of the page has
	Title       string
	Rows        []analysis.TrendRow // every day of the period, without gaps
	Weekly      bool
	Preliminary memory.Day              // this day and later ones still grow; 0 for none
	Link        func(memory.Day) string // of a bar
	Compliance  bool                    // with a line of compliance below
	Top         int64                   // of the scale; 0: the greatest row
	Small       bool                    // one of several: without labels of days
}

// withoutGaps fills the days that a trend omits.
func withoutGaps(rows []analysis.TrendRow, from, to memory.Day, weekly bool) []analysis.TrendRow {
	step := memory.Day(1)
	if weekly {
		step = 7
		from -= (from - 4) % 7 // 1970-01-05 was a Monday
	}
	byDay := map[memory.Day]analysis.TrendRow{}
	for _, r := range rows {
		byDay[r.Day] = r
	}
	var out []analysis.TrendRow
	for d := from; d <= to && len(out) < maxBars; d += step {
		r, ok := byDay[d]
		if !ok {
			r.Day = d
		}
		out = append(out, r)
	}
	return out
}

// maxBars bounds a chart.
const maxBars = 400

// niceTop returns a round number not below n, and the step of its lines.
func niceTop(n int64) (top, step int64) {
	if n < 4 {
		return 4, 1
	}
	for scale := int64(1); ; scale *= 10 {
		for _, m := range []int64{1, 2, 5} {
			if step := m * scale; step*4 >= n {
				return (n + step - 1) / step * step, step
			}
		}
	}
}

// HTML draws the chart: compliant messages solid, others hatched above them.
func (s *series) HTML() template.HTML {
	var greatest int64
	for _, r := range s.Rows {
		greatest = max(greatest, r.Messages)
	}
	top, step := niceTop(max(greatest, s.Top))
	height := plotHeight
	switch {
	case s.Small:
		height = plotBase + 8
	case !s.Compliance:
		height = labelLine + 8
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<div class="plot"><svg class="axis" width="%d" height="%d" aria-hidden="true">`, axisWidth, height)
	for n := int64(0); n <= top; n += step {
		fmt.Fprintf(&b, `<text x="%d" y="%.0f" text-anchor="end">%s</text>`, axisWidth-6, yOf(n, top)+4, shortNumber(s.Lang, n))
	}
	floor := s.complianceFloor()
	if s.Compliance && !s.Small {
		fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">100%%</text><text x="%d" y="%d" text-anchor="end">%d%%</text>`,
			axisWidth-6, stripTop+4, axisWidth-6, stripBase+4, floor)
	}
	fmt.Fprintf(&b, `</svg><svg class="chart" height="%d" role="group" aria-labelledby="%s-t" aria-describedby="%s-d"><title id="%s-t">%s</title><desc id="%s-d">%s</desc>`,
		height, s.ID, s.ID, s.ID, template.HTMLEscapeString(s.Title), s.ID, template.HTMLEscapeString(s.describe()))
	for n := int64(0); n <= top; n += step {
		fmt.Fprintf(&b, `<line class="grid" x1="0" x2="100%%" y1="%.1f" y2="%.1f"/>`, yOf(n, top), yOf(n, top))
	}
	for i := range s.Rows {
		s.bar(&b, i, top)
	}
	if s.Compliance && !s.Small {
		s.strip(&b, floor)
	}
	b.WriteString(`</svg></div>`)
	return template.HTML(b.String())
}

func yOf(n, top int64) float64 { return plotBase - (plotBase-plotTop)*float64(n)/float64(top) }

// bar draws one day.
func (s *series) bar(b *strings.Builder, i int, top int64) {
	r := &s.Rows[i]
	slot := 100 / float64(len(s.Rows))
	x, width := slot*(float64(i)+.14), slot*.72
	bad := r.Messages - r.Compliant
	class := ""
	if s.Preliminary != 0 && r.Day >= s.Preliminary {
		class = ` class="faint"`
	}
	link := ""
	if s.Link != nil {
		link = s.Link(r.Day)
	}
	if !s.Small {
		fmt.Fprintf(b, `<a href="%s" tabindex="-1"%s><title>%s</title>`, template.HTMLEscapeString(link), class, template.HTMLEscapeString(s.tell(r)))
		defer b.WriteString(`</a>`)
	}
	okHeight := (plotBase - plotTop) * float64(r.Compliant) / float64(top)
	if r.Compliant > 0 {
		okHeight = max(okHeight, 1)
		fmt.Fprintf(b, `<rect class="fill-ok" x="%.2f%%" width="%.2f%%" y="%.1f" height="%.1f"/>`, x, width, plotBase-okHeight, okHeight)
	}
	if bad > 0 {
		h := max((plotBase-plotTop)*float64(bad)/float64(top), 1)
		gap := 1.0
		if r.Compliant == 0 {
			gap = 0
		}
		fmt.Fprintf(b, `<rect fill="url(#hatch)" x="%.2f%%" width="%.2f%%" y="%.1f" height="%.1f"/>`, x, width, plotBase-okHeight-h-gap, h)
	}
	if !s.Small && s.labelled(i) {
		fmt.Fprintf(b, `<text x="%.2f%%" y="%d" text-anchor="middle">%s</text>`, x+width/2, labelLine, shortDay(s.Lang, r.Day))
	}
}

// labelled reports whether a bar's day is written below it: Mondays, or as many as fit.
func (s *series) labelled(i int) bool {
	n := len(s.Rows)
	switch {
	case s.Weekly || n <= 7:
		return i%max(n/6, 1) == 0
	case n > 45:
		return i%max(n/4, 1) == n/8
	}
	return (s.Rows[i].Day-4)%7 == 0 && i < n-1
}

// strip draws the line of compliance, with its lowest point labelled.
func (s *series) strip(b *strings.Builder, floor int) {
	slot := 100 / float64(len(s.Rows))
	y := func(r *analysis.TrendRow) float64 {
		share := 100 * float64(r.Compliant) / float64(r.Messages)
		return stripBase - (stripBase-stripTop)*(share-float64(floor))/float64(100-floor)
	}
	fmt.Fprintf(b, `<line class="grid" x1="0" x2="100%%" y1="%d" y2="%d"/><line class="grid" x1="0" x2="100%%" y1="%d" y2="%d"/>`, stripTop, stripTop, stripBase, stripBase)
	last, lowest := -1, -1
	for i := range s.Rows {
		r := &s.Rows[i]
		if r.Messages == 0 {
			continue
		}
		if last >= 0 {
			fmt.Fprintf(b, `<line class="curve" x1="%.2f%%" y1="%.1f" x2="%.2f%%" y2="%.1f"/>`,
				slot*(float64(last)+.5), y(&s.Rows[last]), slot*(float64(i)+.5), y(r))
		}
		if last = i; lowest < 0 || r.Compliant*s.Rows[lowest].Messages < s.Rows[lowest].Compliant*r.Messages {
			lowest = i
		}
	}
	if lowest < 0 || s.Rows[lowest].Compliant == s.Rows[lowest].Messages {
		return
	}
	r := &s.Rows[lowest]
	x, anchor, dx := slot*(float64(lowest)+.5), "start", 8
	if lowest > len(s.Rows)*3/4 {
		anchor, dx = "end", -8
	}
	fmt.Fprintf(b, `<circle class="point" cx="%.2f%%" cy="%.1f" r="3"/><text x="%.2f%%" dx="%d" y="%.1f" text-anchor="%s">%s</text>`,
		x, y(r), x, dx, y(r)+4, anchor, template.HTMLEscapeString(percent(r.Compliant, r.Messages)))
}

// complianceFloor returns the multiple of five below the lowest share.
func (s *series) complianceFloor() int {
	floor := 95
	for _, r := range s.Rows {
		if r.Messages > 0 {
			floor = min(floor, int(20*r.Compliant/r.Messages)*5)
		}
	}
	return floor
}

// describe returns the chart in words.
func (s *series) describe() string {
	var total analysis.Counts
	low := -1
	for i, r := range s.Rows {
		total = total.Plus(r.Counts)
		if r.Messages > 0 && (low < 0 || r.Compliant*s.Rows[low].Messages < s.Rows[low].Compliant*r.Messages) {
			low = i
		}
	}
	if low < 0 {
		return say(s.Lang, "No messages.")
	}
	return say(s.Lang, "%s messages, %s compliant. Lowest: %s, %s.", text.Number(total.Messages), percent(total.Compliant, total.Messages),
		s.Rows[low].Day.String(), percent(s.Rows[low].Compliant, s.Rows[low].Messages))
}

// tell returns one bar in words.
func (s *series) tell(r *analysis.TrendRow) string {
	return say(s.Lang, "%s: %s messages, %s non-compliant (%s compliant)", r.Day.String(), text.Number(r.Messages), text.Number(r.Messages-r.Compliant),
		percent(r.Compliant, r.Messages))
}

// shortNumber formats a number on an axis.
func shortNumber(lang language, n int64) string {
	switch {
	case lang == japanese && n >= 10_000:
		return trimZero(float64(n)/10_000) + "万"
	case n >= 1_000_000:
		return trimZero(float64(n)/1_000_000) + "M"
	case n >= 1000:
		return trimZero(float64(n)/1000) + "k"
	}
	return fmt.Sprint(n)
}

func trimZero(f float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", f), ".0") }

// shortDay formats a day on an axis.
func shortDay(lang language, d memory.Day) string {
	t := d.Begin()
	if lang == japanese {
		return fmt.Sprintf("%d月%d日", t.Month(), t.Day())
	}
	return t.Format("2 Jan")
}

// preliminaryDays are the last days, for which reports still arrive.
const preliminaryDays = 2

func preliminarySince(now time.Time) memory.Day { return memory.DayOf(now) - preliminaryDays + 1 }

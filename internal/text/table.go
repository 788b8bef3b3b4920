package text

import (
	"bufio"
	"io"
	"strings"
	"unicode"
)

// Terminal is the default width of a table, in terminal columns.
const Terminal = 80

// Column is one column of a table.
type Column struct {
	Name  string // heading; a table without names has none
	Right bool   // for numbers
	Least int    // minimum width of a column that may be cut; 0: it is never cut
}

// maxTableCell bounds a cell before layout, in octets.
const maxTableCell = 1000

// WriteTable writes rows below a heading, columns aligned and two spaces apart. Line makes
// each cell safe. If a row exceeds width, the widest columns that may be cut are cut and
// end in "…"; width 0 cuts none. A row may have fewer cells than there are columns.
func WriteTable(w io.Writer, width int, columns []Column, rows [][]string) error {
	lines := make([][]string, 0, len(rows)+1)
	heading := make([]string, len(columns))
	for i, c := range columns {
		heading[i] = c.Name
	}
	if strings.Join(heading, "") != "" {
		lines = append(lines, heading)
	}
	for _, row := range rows {
		safe := make([]string, min(len(row), len(columns)))
		for i := range safe {
			safe[i] = Line(row[i], maxTableCell)
		}
		lines = append(lines, safe)
	}
	widths := layout(columns, lines, width)
	out := bufio.NewWriter(w)
	for _, line := range lines {
		var b strings.Builder
		for i, cell := range line {
			if i > 0 {
				b.WriteString(gap)
			}
			cell = fit(cell, widths[i])
			fill := strings.Repeat(" ", widths[i]-Width(cell))
			if columns[i].Right {
				cell, fill = fill+cell, ""
			}
			b.WriteString(cell + fill)
		}
		if _, err := out.WriteString(strings.TrimRight(b.String(), " ") + "\n"); err != nil {
			return err
		}
	}
	return out.Flush()
}

const gap = "  "

// layout computes the width of each column.
func layout(columns []Column, lines [][]string, width int) []int {
	widths := make([]int, len(columns))
	for _, line := range lines {
		for i, cell := range line {
			widths[i] = max(widths[i], Width(cell))
		}
	}
	over := -width - len(gap)
	for _, w := range widths {
		over += w + len(gap)
	}
	for ; width > 0 && over > 0; over-- {
		widest := -1
		for i, c := range columns {
			if c.Least > 0 && widths[i] > c.Least && (widest < 0 || widths[i] > widths[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		widths[widest]--
	}
	return widths
}

// fit cuts s to a width.
func fit(s string, width int) string {
	if Width(s) <= width {
		return s
	}
	used := 0
	for i, r := range s {
		w := runeWidth(r)
		if used+w > width-1 {
			return s[:i] + ellipsis
		}
		used += w
	}
	return s
}

// Width is the number of terminal columns that s occupies: two for a wide East Asian
// character (Unicode Standard Annex 11), none for a combining one.
func Width(s string) int {
	if isASCII(s) {
		return len(s)
	}
	n := 0
	for _, r := range s {
		n += runeWidth(r)
	}
	return n
}

func runeWidth(r rune) int {
	switch {
	case r < 0x300:
		return 1
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case 0x1100 <= r && r <= 0x115f, 0x2e80 <= r && r <= 0x303e, 0x3041 <= r && r <= 0xa4cf, 0xac00 <= r && r <= 0xd7a3,
		0xf900 <= r && r <= 0xfaff, 0xfe30 <= r && r <= 0xfe6f, 0xff00 <= r && r <= 0xff60, 0xffe0 <= r && r <= 0xffe6,
		0x1f300 <= r && r <= 0x1f64f, 0x1f680 <= r && r <= 0x1f6ff, 0x1f900 <= r && r <= 0x1f9ff, 0x20000 <= r && r <= 0x3fffd:
		return 2
	}
	return 1
}

// Wrap breaks one line into lines of at most width columns, at spaces if possible. Text
// without spaces, as in Japanese, is broken between characters.
func Wrap(s string, width int) (lines []string) {
	rest := strings.TrimSpace(s)
	for Width(rest) > width {
		used, cut, space := 0, len(rest), -1
		for i, r := range rest {
			if r == ' ' {
				space = i
			}
			if used += runeWidth(r); used > width && i > 0 {
				cut = i
				break
			}
		}
		if space > cut/2 {
			cut = space
		}
		lines = append(lines, strings.TrimRight(rest[:cut], " "))
		rest = strings.TrimLeft(rest[cut:], " ")
	}
	if rest != "" {
		lines = append(lines, rest)
	}
	return lines
}

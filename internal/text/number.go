package text

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Number formats n with commas between thousands.
func Number(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// Count formats a number with its noun: "1 message", "2,000 messages", "1 entry", "3
// entries". The noun is singular and may follow an adjective: "invalid line".
func Count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return Number(n) + " " + plural(noun)
}

func plural(noun string) string {
	switch stem := strings.TrimSuffix(noun, "y"); {
	case stem != noun && stem != "" && !strings.ContainsRune("aeiou", rune(stem[len(stem)-1])):
		return stem + "ies"
	case strings.HasSuffix(noun, "s"), strings.HasSuffix(noun, "x"), strings.HasSuffix(noun, "ch"), strings.HasSuffix(noun, "sh"):
		return noun + "es"
	}
	return noun + "s"
}

// Percent formats a share with one decimal, "" if the whole is zero. It shows 100 % and
// 0 % only if that is exact: one failed message in a million shows as 99.9 %.
func Percent(part, whole int64) string {
	switch {
	case whole <= 0:
		return ""
	case part >= whole:
		return "100 %"
	case part <= 0:
		return "0 %"
	}
	const least, most = 1, 999
	tenths := int64(float64(part)/float64(whole)*1000 + 0.5)
	tenths = min(max(tenths, least), most)
	return fmt.Sprintf("%d.%d %%", tenths/10, tenths%10)
}

// Octets formats a size: "512 B", "1.5 KiB", "20 GiB".
func Octets(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	f := float64(n)
	i := -1
	const units = "KMGTPE"
	for ; f >= unit && i < len(units)-1; i++ {
		f /= unit
	}
	s := strconv.FormatFloat(f, 'f', 1, 64)
	return strings.TrimSuffix(s, ".0") + " " + units[i:i+1] + "iB"
}

// Span formats a duration as in the configuration, in days if it is whole days.
func Span(d time.Duration) string {
	const day = 24 * time.Hour
	if d%day == 0 {
		return fmt.Sprintf("%dd", d/day)
	}
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

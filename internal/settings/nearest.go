package settings

import (
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// unknownKey reports a key that the section does not have, with the key that was probably
// meant: the nearest here, or the same name further below, elsewhere in the file or in
// the other file.
func (d *decoder) unknownKey(k *yaml.Node, name string, names, keys []string) {
	if d.faults.full() {
		d.faults.dropped++ // the search below costs more than the rest of the file
		return
	}
	d.push(printable(clip(name)), "")
	defer d.pop()
	if d.other.keys[name] {
		d.fault(k, "unknown key; it belongs in %s", d.other.name)
		return
	}
	if path := pathTo(name, keys); path != "" {
		d.faultHint(k, path, "unknown key here")
		return
	}
	if i := strings.IndexAny(name, ": ="); i > 0 && slices.Contains(names, name[:i]) {
		d.faultHint(k, name[:i]+": "+strings.TrimLeft(name[i:], ": ="), "unknown key: behind the colon of a key stands a space")
		return
	}
	if hint := nearest(name, names); hint != "" {
		d.faultHint(k, hint, "unknown key")
		return
	}
	if path := pathTo(name, d.keys); path != "" {
		d.faultHint(k, path, "unknown key here")
		return
	}
	d.fault(k, "unknown key; known here are %s", strings.Join(names, ", "))
}

// pathTo is the first of the paths that ends in name, "" if none does. Keys of a
// list's elements are not proposed.
func pathTo(name string, paths []string) string {
	for _, p := range paths {
		if (p == name || strings.HasSuffix(p, "."+name)) && !strings.ContainsAny(p, "[*") {
			return p
		}
	}
	return ""
}

// printable keeps a key of the file from breaking the line that shows it.
func printable(s string) string {
	if _, err := oneLine(s, len(s)); err != nil || s == "" {
		return strconv.Quote(s)
	}
	return s
}

// nearest is the word that s was probably meant to be, "" if none is near.
func nearest(s string, words []string) string {
	const (
		longest   = 64 // longer words are not misspelt keys
		shortened = 3  // number of letters that may abbreviate a word
	)
	if len(s) > longest {
		return ""
	}
	s = strings.ReplaceAll(strings.ToLower(s), "-", "_")
	best, least := "", max(1, len(s)/3)+1
	for _, w := range words {
		d := distance(s, strings.ToLower(w))
		if len(s) >= shortened && strings.HasPrefix(w, s) {
			d = min(d, 1)
		}
		if d < least || d == least && best != "" && len(w) < len(best) {
			best, least = w, d
		}
	}
	return best
}

// distance counts the letters put in, left out, changed or swapped with their
// neighbour between a and b.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := last[j-1]
			if a[i-1] != b[j-1] {
				change++
			}
			row[j] = min(change, last[j]+1, row[j-1]+1)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

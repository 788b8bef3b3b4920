package settings

import (
	"maps"
	"slices"
	"strconv"

	"gopkg.in/yaml.v3"
)

// list is a list of any length.
func list[V any](k kind[V]) kind[[]V] {
	return kind[[]V]{
		keys: elementKeys(k.keys),
		read: func(d *decoder, n *yaml.Node, v *[]V) {
			out := make([]V, 0, len(n.Content))
			each(d, n, func(item *yaml.Node) {
				var one V
				clean := d.watch()
				into(d, k, item, &one)
				if clean() {
					out = append(out, one)
				}
			})
			*v = nilIfEmpty(out)
		},
		show: func(v []V) *yaml.Node {
			n := &yaml.Node{Kind: yaml.SequenceNode}
			for _, one := range v {
				n.Content = append(n.Content, k.show(one))
			}
			return layout(n)
		},
	}
}

func elementKeys(keys []string) []string {
	out := make([]string, len(keys))
	for i, k := range keys {
		out[i] = "[]." + k
	}
	return out
}

// nilIfEmpty returns lists one form, so that equal settings are equal values.
func nilIfEmpty[V any](l []V) []V {
	if len(l) == 0 {
		return nil
	}
	return l
}

// each calls read for every element of a list, with its index on the path.
func each(d *decoder, n *yaml.Node, read func(item *yaml.Node)) {
	if n.Kind != yaml.SequenceNode {
		hint := ""
		if n.Kind == yaml.ScalarNode && !isNull(n) {
			hint = "[" + clip(n.Value) + "]"
		}
		d.faultHint(n, hint, "expected a list, found %s", describe(n))
		return
	}
	for i, item := range n.Content {
		if d.values < 0 {
			return
		}
		d.push("["+strconv.Itoa(i)+"]", "[]")
		d.origins.noteItem(d, item)
		read(item)
		d.pop()
	}
}

// mapOf is a mapping with keys of the operator's choice. ReadKey returns the key's normal
// form, or reports the fault itself.
func mapOf[V any](readKey func(d *decoder, k *yaml.Node, s string) (string, bool), k kind[V]) kind[map[string]V] {
	keys := []string{"*"}
	for _, below := range k.keys {
		keys = append(keys, "*."+below)
	}
	return kind[map[string]V]{
		keys: keys,
		read: func(d *decoder, n *yaml.Node, v *map[string]V) {
			out := map[string]V{}
			d.pairs(n, func(key, value *yaml.Node) {
				name, ok := readKey(d, key, key.Value)
				if !ok {
					return
				}
				if _, twice := out[name]; twice {
					d.fault(key, "duplicate key %s", name)
					return
				}
				var one V
				into(d, k, value, &one)
				out[name] = one
			})
			if len(out) == 0 {
				out = nil
			}
			*v = out
		},
		show: func(v map[string]V) *yaml.Node {
			n := mapping()
			for _, name := range sortedKeys(v) {
				n.Content = append(n.Content, plain(name), k.show(v[name]))
			}
			return n
		},
	}
}

// pairs calls read for every key of a mapping with keys of the operator's
// choice, with the key on the path.
func (d *decoder) pairs(n *yaml.Node, read func(key, value *yaml.Node)) {
	if n.Kind != yaml.MappingNode {
		d.noMapping(n)
		return
	}
	for i := 0; i+1 < len(n.Content) && d.values >= 0; i += 2 {
		name, ok := d.keyText(n.Content[i])
		if !ok {
			continue
		}
		d.push(printable(clip(name)), "")
		read(n.Content[i], n.Content[i+1])
		d.pop()
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

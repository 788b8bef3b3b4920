package settings

import (
	"reflect"

	"gopkg.in/yaml.v3"
)

// kind is how values of one type are read from and shown in a file. Kinds are
// built of kinds: a section of fields, a field of the kind of its value.
type kind[V any] struct {
	// read replaces *v, which holds the default. It must not change slices and maps that
	// *v shares with the default, only replace them.
	read func(d *decoder, n *yaml.Node, v *V)
	// show is the value as read reads it.
	show func(v V) *yaml.Node
	// unlike is the part of the value that differs from the other; nil if that is always
	// the whole value, as for all but sections.
	unlike func(v, other *V) *yaml.Node
	// keys are the dotted paths of the keys below; a list's element is "[]".
	keys []string
}

// field is one key of a section that fills a T.
type field[T any] struct {
	name string
	read func(d *decoder, n *yaml.Node, t *T)
	show func(t *T) *yaml.Node // nil to leave the key out
	// unlike is show for a value that differs from the other's, else nil.
	unlike func(t, other *T) *yaml.Node
	keys   []string // name, and the paths below it
}

// key declares a key: its name, what is read, and where it goes.
func key[T, V any](name string, k kind[V], at func(*T) *V) field[T] {
	return field[T]{
		name: name,
		read: func(d *decoder, n *yaml.Node, t *T) {
			v := at(t)
			if isNull(n) {
				d.warnNothing(n, k.show(*v))
				return
			}
			before := *v
			into(d, k, n, v)
			if d.pending[string(d.schemaKey())] && !reflect.DeepEqual(before, *v) {
				d.warn(n, "has no effect yet: this version reads the key but does not act on it")
			}
		},
		show: func(t *T) *yaml.Node { return k.show(*at(t)) },
		unlike: func(t, other *T) *yaml.Node {
			v, o := at(t), at(other)
			switch {
			case reflect.DeepEqual(v, o):
				return nil
			case k.unlike != nil:
				return k.unlike(v, o)
			}
			return k.show(*v)
		},
		keys: below(name, k.keys),
	}
}

// unless hides the key where absent returns true.
func (f field[T]) unless(absent func(t *T) bool) field[T] {
	show := f.show
	f.show = func(t *T) *yaml.Node {
		if absent(t) {
			return nil
		}
		return show(t)
	}
	return f
}

// hidden is a second name of a key, which is read but not shown.
func hidden[T any](f field[T]) field[T] {
	f.show, f.unlike = nil, nil
	return f
}

func below(name string, keys []string) []string {
	out := []string{name}
	for _, k := range keys {
		out = append(out, name+"."+k)
	}
	return out
}

// warnNothing warns of a key with no value, unless the default is empty too.
func (d *decoder) warnNothing(n, standard *yaml.Node) {
	switch {
	case standard.Kind == yaml.MappingNode:
	case standard.Kind == yaml.SequenceNode && len(standard.Content) > 0:
		d.warn(n, "nothing stands here, so the default list holds; write [] for an empty one")
	case standard.Kind == yaml.ScalarNode && standard.Value != "":
		d.warn(n, "nothing stands here, so the default %q holds", standard.Value)
	}
}

// section is a mapping with a fixed set of keys. Check, which may be nil, looks
// at the finished section.
func section[T any](check func(s *scope, t *T), fields ...field[T]) kind[T] {
	names := make([]string, len(fields))
	var keys []string
	for i, f := range fields {
		names[i] = f.name
		keys = append(keys, f.keys...)
	}
	return kind[T]{
		keys: keys,
		read: func(d *decoder, n *yaml.Node, t *T) {
			s, ok := d.open(n, names, keys)
			if !ok {
				return
			}
			for i, f := range fields {
				if s.values[i] == nil {
					continue
				}
				clean := d.watch()
				d.push(f.name, f.name)
				f.read(d, s.values[i], t)
				d.pop()
				s.wrong[i] = !clean()
			}
			if check != nil {
				check(s, t)
			}
		},
		show: func(t T) *yaml.Node {
			return pairOff(fields, func(f field[T]) *yaml.Node {
				if f.show == nil {
					return nil
				}
				return f.show(&t)
			})
		},
		unlike: func(t, other *T) *yaml.Node {
			return pairOff(fields, func(f field[T]) *yaml.Node {
				if f.unlike == nil {
					return nil
				}
				return f.unlike(t, other)
			})
		},
	}
}

// pairOff is a section of the fields that have a value.
func pairOff[T any](fields []field[T], value func(f field[T]) *yaml.Node) *yaml.Node {
	n := mapping()
	for _, f := range fields {
		if v := value(f); v != nil {
			n.Content = append(n.Content, plain(f.name), v)
		}
	}
	return n
}

// scope is one section of the file.
type scope struct {
	d      *decoder
	node   *yaml.Node
	names  []string
	values []*yaml.Node // beside names; nil for a key that is not there
	wrong  []bool       // beside names: the value has a fault, and is not to be judged further
}

// open sorts the keys of a mapping by name; keys are the names with all paths
// below them. Unknown keys and repeated ones are faults.
func (d *decoder) open(n *yaml.Node, names, keys []string) (*scope, bool) {
	if n.Kind != yaml.MappingNode {
		d.noMapping(n)
		return nil, false
	}
	s := &scope{d: d, node: n, names: names, values: make([]*yaml.Node, len(names)), wrong: make([]bool, len(names))}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		name, ok := d.keyText(k)
		if !ok {
			continue
		}
		j := indexOf(names, name)
		if j < 0 {
			d.unknownKey(k, name, names, keys)
			continue
		}
		if s.values[j] != nil {
			d.push(name, name)
			d.duplicate(k, "key", Place{File: d.file, Line: s.values[j].Line})
			d.pop()
			continue
		}
		s.values[j] = v
		d.origins.note(d, k, v)
	}
	return s, true
}

// keyText returns the text of a key.
func (d *decoder) keyText(k *yaml.Node) (string, bool) {
	switch {
	case k.Kind != yaml.ScalarNode || k.Style&yaml.TaggedStyle != 0:
		d.fault(k, "expected a key, found %s", describe(k))
		return "", false
	case k.Tag == "!!merge":
		d.fault(k, "merge keys (<<) are not read; a domain entry can say inherit: default")
		return "", false
	}
	return k.Value, true
}

// indexOf is slices.Index for the few names of a section.
func indexOf(names []string, name string) int {
	for i, n := range names {
		if n == name {
			return i
		}
	}
	return -1
}

// has reports whether the file gives the key a value.
func (s *scope) has(name string) bool {
	i := indexOf(s.names, name)
	return i >= 0 && s.values[i] != nil && !isNull(s.values[i])
}

// missing is a fault for each of the keys that is not there.
func (s *scope) missing(names ...string) {
	for _, name := range names {
		if !s.has(name) {
			s.fault(name, "%s is needed here", name)
		}
	}
}

// sound reports whether none of the keys has a fault.
func (s *scope) sound(names ...string) bool {
	for _, name := range names {
		if i := indexOf(s.names, name); i >= 0 && s.wrong[i] {
			return false
		}
	}
	return true
}

// place is the node of the key's value, or of the section if the key is not set.
func (s *scope) place(name string) *yaml.Node {
	if i := indexOf(s.names, name); i >= 0 && s.values[i] != nil {
		return s.values[i]
	}
	return s.node
}

// fault reports a value that does not fit the rest of its section, unless the value has a
// fault of its own.
func (s *scope) fault(name, format string, args ...any) {
	if !s.sound(name) {
		return
	}
	s.d.push(name, name)
	s.d.fault(s.place(name), format, args...)
	s.d.pop()
}

// warn reports a value that is valid but probably not intended.
func (s *scope) warn(name, format string, args ...any) {
	if !s.sound(name) {
		return
	}
	s.d.push(name, name)
	s.d.warn(s.place(name), format, args...)
	s.d.pop()
}

// withDefault returns the elements of a list their own default.
func withDefault[V any](k kind[V], standard V) kind[V] {
	read := k.read
	k.read = func(d *decoder, n *yaml.Node, v *V) {
		*v = standard
		read(d, n, v)
	}
	return k
}

// convert makes a kind of W from one of V.
func convert[V, W any](k kind[V], to func(V) W, from func(W) V) kind[W] {
	return kind[W]{
		keys: k.keys,
		read: func(d *decoder, n *yaml.Node, w *W) {
			v := from(*w)
			k.read(d, n, &v)
			*w = to(v)
		},
		show: func(w W) *yaml.Node { return k.show(from(w)) },
	}
}

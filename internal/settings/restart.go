package settings

import "gopkg.in/yaml.v3"

// restartKeys are the keys of dmarcd.yaml that a running daemon cannot take over.
func restartKeys() [][]string {
	return [][]string{
		{"listen"},
		{"state_dir"},
		{"store"},
		{"store_password_file"},
		{"resolver", "servers"},
		{"resolver", "timeout"},
		{"resolver", "cache_entries"},
		{"limits", "connections"},
		{"http"},
		{"log", "format"},
		{"analysis", "lmtp"},
	}
}

// Restart is a key that a running daemon cannot take over, with its values as lines of
// YAML.
type Restart struct {
	Key     string // dotted
	Running string
	Loaded  string
}

// Restarts are the keys that differ between the settings that a daemon runs with and
// those that it loaded later, and that take a restart, in the order of the file.
func Restarts(running, loaded *Settings) []Restart {
	schema := daemonSchema()
	a, b := schema.show(*running), schema.show(*loaded)
	var out []Restart
	for _, path := range restartKeys() {
		x, y, name := a, b, ""
		for _, step := range path {
			x, y = child(x, step), child(y, step)
			if name != "" {
				name += "."
			}
			name += step
		}
		if !sameNodes(x, y) {
			out = append(out, Restart{Key: name, Running: lineOf(x), Loaded: lineOf(y)})
		}
	}
	return out
}

// child is the value of a key of a section; nil if it is not there.
func child(n *yaml.Node, name string) *yaml.Node {
	_, v := pair(n, name)
	return v
}

// pair is a key of a section and its value; nil if it is not there.
func pair(n *yaml.Node, name string) (key, value *yaml.Node) {
	if n == nil {
		return nil, nil
	}
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == name {
			return n.Content[i], n.Content[i+1]
		}
	}
	return nil, nil
}

func sameNodes(a, b *yaml.Node) bool {
	if a == nil || b == nil {
		return a == b
	}
	if a.Kind != b.Kind || a.Value != b.Value || len(a.Content) != len(b.Content) {
		return false
	}
	for i := range a.Content {
		if !sameNodes(a.Content[i], b.Content[i]) {
			return false
		}
	}
	return true
}

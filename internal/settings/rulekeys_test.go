package settings

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestRuleKeys holds the rule keys of package policy to the schema: each is a key
// of it, or the beginning of several.
func TestRuleKeys(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "../policy/keys.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	keys := slices.Concat(policySchema().keys, entrySchema(nil).keys)
	n := 0
	ast.Inspect(f, func(node ast.Node) bool {
		spec, ok := node.(*ast.ValueSpec)
		if !ok {
			return true
		}
		key, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		n++
		known := slices.Contains(keys, key)
		if strings.HasSuffix(key, ".") {
			known = slices.ContainsFunc(keys, func(k string) bool { return strings.HasPrefix(k, key) })
		}
		if !known {
			t.Errorf("%s: there is no key %s", spec.Names[0].Name, key)
		}
		return true
	})
	if n < 20 {
		t.Errorf("%d rule keys found", n)
	}
}

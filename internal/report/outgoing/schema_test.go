package outgoing_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// schemas judge what we send: that of the project and, where it is beside it, that of
// RFC 9990 appendix A.
var schemas = sync.OnceValues(func() (list []string, missing string) {
	if _, err := exec.LookPath("xmllint"); err != nil {
		return nil, "xmllint is not here (Debian: libxml2-utils); nothing validates the files"
	}
	list = []string{filepath.Join("..", "testdata", "aggregate.xsd")}
	theirs := filepath.Join("..", "..", "..", "..", "shared", "standards", "rfc9990.xsd")
	if _, err := os.Stat(theirs); err != nil {
		return list, "the schema of the RFC is not beside the project; only our own judges"
	}
	return append(list, theirs), ""
})

// validate holds a file to the schemas.
func validate(t testing.TB, xml []byte) {
	t.Helper()
	list, missing := schemas()
	if missing != "" {
		t.Log(missing)
	}
	path := filepath.Join(t.TempDir(), "report.xml")
	if err := os.WriteFile(path, xml, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, schema := range list {
		if out, err := exec.Command("xmllint", "--nonet", "--noout", "--schema", schema, path).CombinedOutput(); err != nil {
			t.Errorf("by %s: %v\n%s", schema, err, out)
		}
	}
}

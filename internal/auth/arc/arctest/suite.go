// Package arctest reads the published ARC validation suite and makes chains of
// our own. For tests only. What it makes is computed in the plainest way and
// without the packages under test.
package arctest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"
)

// Case is one message of the suite and the status of its chain.
type Case struct {
	Name        string // unique: "name#2" where the suite has a name twice
	Suite       string // description of the group it belongs to
	Description string
	Message     []byte            // whole, lines ended by CRLF
	TXT         map[string]string // TXT records by name, the DNS of the case
	CV          string            // "None", "Pass", "Fail", or "" for no status
}

// Status is the Chain Validation Status that RFC 8617 gives the message: "none",
// "pass" or "fail". The suite gives none to a chain in which a seal says
// cv=fail, since it was written for drafts that stopped there. Section 5.2 says
// fail: step 2 of the newest seal, step 3C of any other.
func (c Case) Status() string {
	if c.CV == "" {
		return "fail"
	}
	return strings.ToLower(c.CV)
}

// Find returns the path of the suite, beside the repository.
func Find() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("arctest: %w", err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("arctest: not below a go.mod")
		}
		dir = parent
	}
	path := filepath.Join(dir, "..", "shared", "suites", "arc", "arc-draft-validation-tests.yml")
	if _, err := os.Stat(path); err != nil {
		return "", errors.New("arctest: the published suite is not here: ../shared/suites/arc")
	}
	return path, nil
}

// Load reads the suite, in the order of the file.
func Load(path string) ([]Case, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("arctest: %w", err)
	}
	defer f.Close()
	var out []Case
	seen := map[string]int{}
	for d := yaml.NewDecoder(f); ; {
		var doc struct {
			Description string
			Tests       yaml.Node
			TXT         map[string]string `yaml:"txt-records"`
		}
		if err := d.Decode(&doc); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return nil, fmt.Errorf("arctest: %s: %w", path, err)
		}
		// A Go map would lose the order, and cases with the same name.
		for i := 0; i+1 < len(doc.Tests.Content); i += 2 {
			var y struct{ Description, Message, CV string }
			name := doc.Tests.Content[i].Value
			if err := doc.Tests.Content[i+1].Decode(&y); err != nil {
				return nil, fmt.Errorf("arctest: %s: %s: %w", path, name, err)
			}
			if seen[name]++; seen[name] > 1 {
				name = fmt.Sprintf("%s#%d", name, seen[name])
			}
			out = append(out, Case{
				Name: name, Suite: doc.Description, Description: y.Description,
				Message: []byte(strings.ReplaceAll(y.Message, "\n", "\r\n")), TXT: doc.TXT, CV: y.CV,
			})
		}
	}
}

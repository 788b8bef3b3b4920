// Package spftest reads the published SPF test suites (the openspf.org suite for
// RFC 7208 and its kin) and turns their zones into text for dns/dnstest. For
// tests only.
package spftest

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"gopkg.in/yaml.v3"
)

// Suite is one document of a suite file: checks against one zone.
type Suite struct {
	Description string
	Tests       []Test // in the order of the file
	Zone        Zone
}

// Test is one check and the results that pass it.
type Test struct {
	Name        string
	Description string
	Spec        string // sections of the RFC, such as "4.6.4/1"
	Helo        string
	Host        string // address of the client
	MailFrom    string // "" for the null reverse-path
	Results     []string
	// Explanation is the text that exp= is to give: "" if the suite does not
	// say, Default for none of the domain's own.
	Explanation string
}

// Default is the Test.Explanation of a domain without an explanation.
const Default = "DEFAULT"

// Sender parts MailFrom at its last "@".
func (t Test) Sender() (local, host string) {
	if i := strings.LastIndexByte(t.MailFrom, '@'); i >= 0 {
		return t.MailFrom[:i], t.MailFrom[i+1:]
	}
	return "", t.MailFrom
}

// Load reads a suite file.
func Load(path string) ([]Suite, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []Suite
	for d := yaml.NewDecoder(f); ; {
		var doc struct {
			Description string
			Tests       yaml.Node
			ZoneData    map[string][]yaml.Node `yaml:"zonedata"`
		}
		if err := d.Decode(&doc); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return nil, fmt.Errorf("spftest: %s: %w", path, err)
		}
		s := Suite{Description: doc.Description}
		if s.Tests, err = readTests(&doc.Tests); err == nil {
			s.Zone, err = readZone(doc.ZoneData)
		}
		if err != nil {
			return nil, fmt.Errorf("spftest: %s: %s: %w", path, s.Description, err)
		}
		out = append(out, s)
	}
}

// readTests goes through the mapping itself: a Go map would lose the order.
func readTests(node *yaml.Node) ([]Test, error) {
	var out []Test
	for i := 0; i+1 < len(node.Content); i += 2 {
		var y struct {
			Description, Helo, Host, MailFrom, Explanation string
			Spec, Result                                   yaml.Node
		}
		name := node.Content[i].Value
		if err := node.Content[i+1].Decode(&y); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, Test{
			Name: name, Description: strings.TrimSpace(y.Description), Spec: strings.Join(scalars(&y.Spec), ", "),
			Helo: y.Helo, Host: y.Host, MailFrom: y.MailFrom,
			Results: scalars(&y.Result), Explanation: y.Explanation,
		})
	}
	return out, nil
}

// scalars returns a value that may be alone or in a list.
func scalars(node *yaml.Node) []string {
	if node.Kind == yaml.ScalarNode {
		return []string{node.Value}
	}
	var out []string
	for _, n := range node.Content {
		out = append(out, n.Value)
	}
	return out
}

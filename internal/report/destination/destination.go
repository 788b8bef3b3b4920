// Package destination checks whether reports on a domain may go to an address: the check of
// external destinations (RFC 9990 section 4), which RFC 9991 section 5 adopts for failure
// reports, and whether mail can safely be sent to an address. A report sender asks before it
// sends; a record verifier asks what others will find. The package sends nothing and keeps
// nothing.
//
// # Divergences
//
//   - Of the URIs of a record the first MaxAddresses mail addresses count (RFC 9990
//     section 3.5, "up to the Receiver's limits on supported URIs").
//   - Addresses that are valid by RFC 5321, but that some mail servers interpret as routes or
//     commands (see Unsafe), get no reports.
package destination

import (
	"context"
	"fmt"
	"strings"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/dns"
)

// MaxAddresses is the number of addresses of one record that get a report.
const MaxAddresses = 10

// Tag is the tag of a policy record with the address.
type Tag string

// Tags.
const (
	RUA Tag = "rua" // aggregate reports
	RUF Tag = "ruf" // failure reports
)

// Result is the DNS answer for one destination.
type Result struct {
	External  bool     // its host and the policy domain have different organizational domains
	Name      dns.Name // queried for the host's consent; zero unless External
	Confirmed bool     // reports may go to the address that the policy record names,
	Replace   []string // or to these instead, where there are any
	Refused   string   // why no address may receive them; "" while that is not certain
	Err       error    // why the answer is currently unknown; it wraps dns.ErrTemporary or is the resolver's
	Record    string   // the host's record as published; "" for none
}

// Checker looks up whether hosts accept reports on other domains. It is safe for concurrent
// use.
type Checker struct {
	Resolver dmarc.Resolver
	PSL      bool // organizational domains by the public suffix list
}

// Check reports whether reports on a policy domain may go to an address of host that the tag
// names.
func (c Checker) Check(ctx context.Context, tag Tag, domain, host dns.Name) Result {
	external, err := c.External(ctx, domain, host)
	switch {
	case err != nil:
		return Result{Err: err}
	case !external:
		return Result{Confirmed: true}
	}
	name, err := AuthorizationName(domain, host)
	if err != nil { // RFC 9990 section 4, step 4
		return Result{External: true, Refused: fmt.Sprintf("%s._report._dmarc.%s cannot be asked for: it is too long", domain, host)}
	}
	texts, err := c.Resolver.LookupTXT(ctx, name)
	switch {
	case dns.IsNone(err):
		return Result{External: true, Name: name, Refused: fmt.Sprintf("no TXT record at %s", name)}
	case err != nil: // step 5
		return Result{External: true, Name: name, Err: err}
	}
	r := read(tag, name, host, texts)
	r.External, r.Name = true, name
	return r
}

// AuthorizationName is the name at which a host accepts reports on a domain (RFC 9990
// section 4, steps 3 and 4).
func AuthorizationName(domain, host dns.Name) (dns.Name, error) {
	return host.Child(domain.String() + "._report._dmarc")
}

// External reports whether two names have different organizational domains, both found
// by a tree walk (RFC 9989 section 4.10.2).
func (c Checker) External(ctx context.Context, domain, host dns.Name) (bool, error) {
	if domain == host {
		return false, nil
	}
	if domain.Last(1) != host.Last(1) {
		return true, nil // a common organizational domain would be above both
	}
	theirs, err := c.organization(ctx, host)
	if err != nil {
		return false, err
	}
	owners, err := c.organization(ctx, domain)
	if err != nil {
		return false, err
	}
	return theirs != owners, nil
}

// organization returns the organizational domain of a name.
func (c Checker) organization(ctx context.Context, name dns.Name) (dns.Name, error) {
	discoverer := dmarc.Discoverer{Resolver: c.Resolver, PSL: c.PSL}
	d := discoverer.Begin(ctx, name)
	defer d.Close()
	d.Wait()
	r := d.Evaluate(nil)
	if r.OrgDomain.IsZero() {
		if r.Err == nil {
			r.Err = dns.ErrTemporary
		}
		return dns.Name{}, fmt.Errorf("organizational domain of %s: %w", name, r.Err)
	}
	return r.OrgDomain, nil
}

// read evaluates the records at the host (RFC 9990 section 4, steps 6 to 9).
func read(tag Tag, name, host dns.Name, texts []string) Result {
	r := Result{}
	var uris []dmarc.URI
	for _, text := range texts {
		record, err := dmarc.ParseRecord(text)
		if err != nil {
			continue
		}
		if !r.Confirmed {
			r.Confirmed, r.Record = true, text
		}
		if tag == RUF {
			uris = append(uris, record.RUF...)
		} else {
			uris = append(uris, record.RUA...)
		}
	}
	if !r.Confirmed {
		return Result{Refused: fmt.Sprintf("no record that begins with v=DMARC1 at %s", name)}
	}
	for _, u := range uris {
		if u.Host != host {
			return Result{Record: r.Record, Refused: fmt.Sprintf("the record at %s leads on to another host, %s", name, u.Text)}
		}
	}
	r.Replace = Addresses(uris)
	return r
}

// Addresses returns the mail addresses of a list of URIs, in order, each once, up to
// MaxAddresses.
func Addresses(uris []dmarc.URI) []string {
	var out []string
	seen := map[string]bool{}
	for _, u := range uris {
		if u.Address == "" {
			continue
		}
		address := u.Address[:strings.LastIndexByte(u.Address, '@')+1] + u.Host.String()
		if key := strings.ToLower(address); !seen[key] {
			seen[key] = true
			out = append(out, address)
		}
		if len(out) == MaxAddresses {
			break
		}
	}
	return out
}

// Host returns the part of an address after its last "@".
func Host(address string) (dns.Name, error) {
	return dns.Parse(address[strings.LastIndexByte(address, '@')+1:])
}

// Unsafe returns why mail must not be sent to an address of a policy record; "" if it may. A
// local part that begins with "-" is an option if a mail server passes it to a program. One
// with "%" or "!" is a route for servers that still support source routes, and "|" names a
// program in aliases: whoever publishes a record could relay through our server.
func Unsafe(address string) string {
	const longest = 254 // RFC 5321 section 4.5.3.1.3, without the brackets
	for i := 0; i < len(address); i++ {
		if address[i] >= 0x80 {
			return "an address that is not ASCII cannot be sent to"
		}
	}
	if len(address) > longest {
		return fmt.Sprintf("an address of over %d octets cannot be sent to", longest)
	}
	local := address[:max(strings.LastIndexByte(address, '@'), 0)]
	switch i := strings.IndexAny(local, "%!|"); {
	case i >= 0:
		return fmt.Sprintf("an address with %q left of the @ is not sent to: some mail servers route or run by it", local[i])
	case strings.HasPrefix(local, "-"):
		return "an address that begins with a hyphen is not sent to: some mail servers read it as an option"
	}
	return ""
}

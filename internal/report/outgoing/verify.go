package outgoing

import (
	"context"
	"fmt"
	"strings"

	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/dns"
)

// standing is what the DNS says of one destination (RFC 9990 section 4).
type standing struct {
	confirmed bool     // reports may go to the address that the policy record names,
	replace   []string // or to these instead
	refused   string   // why they may not go anywhere; "" while that is not certain
	err       error    // why nothing is known for now
	record    string   // what the host says, for people
}

// verifier looks up whether hosts want the reports that others send them.
type verifier struct {
	resolver Resolver
	psl      bool
}

// verify says whether reports on a policy domain may go to an address of host. kind
// decides between rua and ruf (RFC 9991 section 5).
func (v verifier) verify(ctx context.Context, kind Kind, domain, host dns.Name) standing {
	external, err := v.external(ctx, domain, host)
	switch {
	case err != nil:
		return standing{err: err}
	case !external:
		return standing{confirmed: true}
	}
	name, err := host.Child(domain.String() + "._report._dmarc")
	if err != nil { // step 4: too long a name
		return standing{refused: fmt.Sprintf("%s._report._dmarc.%s cannot be asked for: it is too long", domain, host)}
	}
	texts, err := v.resolver.LookupTXT(ctx, name)
	switch {
	case dns.IsNone(err):
		return standing{refused: fmt.Sprintf("no TXT record at %s", name)}
	case err != nil: // step 5
		return standing{err: fmt.Errorf("outgoing: %w", err)}
	}
	return read(kind, name, host, texts)
}

// external tells whether the two have different organizational domains, both found
// by a tree walk (RFC 9989 section 4.10.2).
func (v verifier) external(ctx context.Context, domain, host dns.Name) (bool, error) {
	if domain == host {
		return false, nil
	}
	if domain.Last(1) != host.Last(1) {
		return true, nil // a common organizational domain would be above both
	}
	theirs, err := v.organization(ctx, host)
	if err != nil {
		return false, err
	}
	owners, err := v.organization(ctx, domain)
	if err != nil {
		return false, err
	}
	return theirs != owners, nil
}

// organization is the organizational domain of a name.
func (v verifier) organization(ctx context.Context, name dns.Name) (dns.Name, error) {
	discoverer := dmarc.Discoverer{Resolver: v.resolver, PSL: v.psl}
	d := discoverer.Begin(ctx, name)
	defer d.Close()
	d.Wait()
	r := d.Evaluate(nil)
	if r.OrgDomain.IsZero() {
		if r.Err == nil {
			return dns.Name{}, fmt.Errorf("outgoing: organizational domain of %s: %w", name, dns.ErrTemporary)
		}
		return dns.Name{}, fmt.Errorf("outgoing: organizational domain of %s: %w", name, r.Err)
	}
	return r.OrgDomain, nil
}

// read takes the records at the host apart (steps 6 to 9).
func read(kind Kind, name, host dns.Name, texts []string) standing {
	s := standing{}
	var uris []dmarc.URI
	for _, text := range texts {
		r, err := dmarc.ParseRecord(text)
		if err != nil {
			continue
		}
		if !s.confirmed {
			s.confirmed, s.record = true, shorten(text, maxErrorText)
		}
		if kind == KindFailure {
			uris = append(uris, r.RUF...)
		} else {
			uris = append(uris, r.RUA...)
		}
	}
	if !s.confirmed {
		return standing{refused: fmt.Sprintf("no record that begins with v=DMARC1 at %s", name)}
	}
	for _, u := range uris {
		if u.Host != host {
			return standing{record: s.record, refused: fmt.Sprintf("the record at %s leads on to another host, %s", name, shorten(u.Text, maxErrorText))}
		}
	}
	s.replace = addresses(uris)
	return s
}

// addresses are the mail addresses of a list of URIs, in order, each once, up to
// MaxDestinations.
func addresses(uris []dmarc.URI) []string {
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
		if len(out) == MaxDestinations {
			break
		}
	}
	return out
}

// hostOf is the part right of the "@".
func hostOf(address string) (dns.Name, error) {
	return dns.Parse(address[strings.LastIndexByte(address, '@')+1:])
}

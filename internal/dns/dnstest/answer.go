package dnstest

import (
	"context"
	"slices"
	"strings"
	"time"

	mdns "github.com/miekg/dns"
)

const (
	maxHops     = 16 // where a recursive server ends a chain of aliases
	maxFollowed = 8  // how many aliases the resolver follows

	// What the resolver takes of one answer: beyond, MX and PTR are cut, the
	// others fail.
	maxRecords = 500
	maxBytes   = 32 << 10
)

// answer is what the zone has to say to a question.
type answer struct {
	kind    Kind // None, or the fault to act out
	rcode   int
	records []mdns.RR
	aliases int  // how many of records are aliases that were followed
	loop    bool // the chain of aliases bites its tail
	soa     mdns.RR

	delay time.Duration
	held  []<-chan struct{}
}

// ask counts the question and finds its answer, Bare ones only where they are
// asked for. The caller waits for it with wait.
func (z *Zone) ask(key string, qtype uint16, bare bool) answer {
	z.mu.Lock()
	defer z.mu.Unlock()
	z.asked[question{key, qtype}]++
	close(z.notify)
	z.notify = make(chan struct{})

	a := answer{kind: None, delay: z.delay}
	seen := map[string]bool{}
	for range maxHops {
		if seen[key] {
			a.loop = true
			break
		}
		seen[key] = true
		n := z.find(key)
		if n == nil {
			made, target := z.redirected(key)
			if made == nil {
				a.rcode = mdns.RcodeNameError
				break
			}
			a.records = append(a.records, made...)
			a.aliases++
			key = target
			continue
		}
		a.applyFaults(n, qtype)
		if a.kind == NXDomain || a.kind == NoData {
			break
		}
		found, target := pick(n, qtype, key)
		a.records = append(a.records, found...)
		if target == "" || bare && a.kind == Bare {
			break
		}
		a.aliases++
		key = target
	}
	switch a.kind {
	case ServFail:
		a.rcode, a.records = mdns.RcodeServerFailure, nil
	case Refused:
		a.rcode, a.records = mdns.RcodeRefused, nil
	case NXDomain:
		a.rcode = mdns.RcodeNameError
	case Huge:
		a.rcode, a.records = mdns.RcodeSuccess, huge(key, qtype)
	}
	a.soa = z.soa(key)
	return a
}

// applyFaults takes the faults of a name that was met.
func (a *answer) applyFaults(n *node, qtype uint16) {
	for _, h := range n.held {
		if h.qtype == 0 || h.qtype == qtype {
			a.held = append(a.held, h.until)
		}
	}
	for _, f := range n.faults {
		if f.Type != "" && mdns.StringToType[f.Type] != qtype || f.Times > 0 && f.applied >= f.Times {
			continue
		}
		f.applied++
		a.delay += f.Delay
		if f.Kind != None {
			a.kind = f.Kind
		}
		return
	}
}

// find gives the node that answers for a name: its own, or the wildcard's below
// its closest encloser (RFC 4592 section 3.3.1); nil if the name does not exist.
func (z *Zone) find(key string) *node {
	if n := z.nodes[key]; n != nil {
		return n
	}
	for k := parent(key); ; k = parent(k) {
		if z.nodes[k] != nil {
			return z.nodes["\x01*"+k]
		}
		if k == root {
			return nil
		}
	}
}

// redirected gives the DNAME above a name that does not exist, the alias that it makes
// (RFC 6672 section 2.2), and the alias's target; nil if there is none.
func (z *Zone) redirected(key string) (made []mdns.RR, target string) {
	for k := parent(key); k != root; k = parent(k) {
		n := z.nodes[k]
		if n == nil {
			continue
		}
		for _, rr := range n.records {
			dname, ok := rr.(*mdns.DNAME)
			if !ok {
				continue
			}
			above, err := pack(dname.Target)
			if err != nil {
				return nil, ""
			}
			target = strings.TrimSuffix(key, k) + above
			text, _, err := mdns.UnpackDomainName([]byte(target), 0)
			if err != nil {
				return nil, ""
			}
			alias := &mdns.CNAME{Hdr: header(mdns.TypeCNAME), Target: text}
			return []mdns.RR{named(dname, k), named(alias, key)}, target
		}
	}
	return nil, ""
}

// isAlias reports whether the first name is an alias of its own, not by a DNAME.
func (a *answer) isAlias() bool {
	return a.aliases > 0 && len(a.records) > 0 && a.records[0].Header().Rrtype == mdns.TypeCNAME
}

// pick copies the records of a type out of a node under the name asked, or the
// alias, with its target, if that is all there is.
func pick(n *node, qtype uint16, key string) (found []mdns.RR, target string) {
	var alias *mdns.CNAME
	for _, rr := range n.records {
		if t := rr.Header().Rrtype; t == qtype || qtype == mdns.TypeANY {
			found = append(found, named(rr, key))
		} else if c, ok := rr.(*mdns.CNAME); ok {
			alias = c
		}
	}
	if found != nil || alias == nil {
		return found, ""
	}
	target, err := pack(alias.Target)
	if err != nil {
		return nil, ""
	}
	return []mdns.RR{named(alias, key)}, target
}

func named(rr mdns.RR, key string) mdns.RR {
	out := mdns.Copy(rr)
	if name, _, err := mdns.UnpackDomainName([]byte(key), 0); err == nil {
		out.Header().Name = name
	}
	return out
}

// soa is the SOA of the zone that key stands in, for answers without records
// (RFC 2308 section 3); one is made up where the zone text has none.
func (z *Zone) soa(key string) mdns.RR {
	top := key
	for k := key; k != root; k = parent(k) {
		top = k
		n := z.nodes[k]
		if n == nil {
			continue
		}
		i := slices.IndexFunc(n.records, func(rr mdns.RR) bool { return rr.Header().Rrtype == mdns.TypeSOA })
		if i >= 0 {
			return mdns.Copy(n.records[i])
		}
	}
	soa := &mdns.SOA{Hdr: header(mdns.TypeSOA), Ns: "ns.invalid.", Mbox: "hostmaster.invalid.",
		Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: negativeTTL}
	soa.Hdr.Ttl = negativeTTL
	return named(soa, top)
}

// wait holds the answer back as long as the test wants.
func (a *answer) wait(ctx context.Context) error {
	for _, h := range a.held {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-h:
		}
	}
	if a.delay <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(a.delay)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

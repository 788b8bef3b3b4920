package resolver

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	mdns "github.com/miekg/dns"
)

const testID = 0x1234

// message packs an answer to a query for qtype at a.example. Records are in
// master-file form, "--" separates the sections.
func message(t testing.TB, qtype uint16, rcode int, records ...string) []byte {
	t.Helper()
	m := new(mdns.Msg).SetQuestion("a.example.", qtype)
	m.Id, m.Response, m.Rcode, m.Compress = testID, true, rcode, true
	section := &m.Answer
	for _, text := range records {
		if text == "--" {
			section = &m.Ns
			continue
		}
		rr, err := mdns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		*section = append(*section, rr)
	}
	p, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func mustQuery(t testing.TB, text string, qtype uint16) *query {
	t.Helper()
	q, err := newQuery(name(text), qtype)
	if err != nil {
		t.Fatal(err)
	}
	return &q
}

// judge processes the octets of an answer as exchange does.
func judge(msg []byte, q *query) (*interpretation, error) {
	a, err := read(msg, testID, q)
	if err != nil {
		return nil, err
	}
	return a.conclude(q)
}

const (
	answerA = "a.example. 60 IN A 192.0.2.1"
	soa     = "example. 50 IN SOA ns.example. h.example. 1 1 1 1 40"
)

// edited returns a copy of msg with an octet changed.
func edited(msg []byte, at int, value byte) []byte {
	out := slices.Clone(msg)
	out[at] = value
	return out
}

func TestReadAndConclude(t *testing.T) {
	good := message(t, mdns.TypeA, 0, answerA)
	cases := []struct {
		name string
		msg  []byte
		want string // outcome, or the error's text
	}{
		{"answer", good, "ok"},
		{"question in upper case", edited(good, 13, 'A'), "ok"},
		{"wrong id", edited(good, 1, 0x35), errForeign.Error()},
		{"a query", edited(good, 2, good[2]&^0x80), errForeign.Error()},
		{"another opcode", edited(good, 2, good[2]|0x10), errForeign.Error()},
		{"wrong name", edited(good, 13, 'b'), errForeign.Error()},
		{"wrong type", edited(good, 24, byte(mdns.TypeAAAA)), errForeign.Error()},
		{"wrong class", edited(good, 26, 3), errForeign.Error()},
		{"no question", edited(good, 5, 0), errForeign.Error()},
		{"two questions", edited(good, 5, 2), errForeign.Error()},
		{"header alone", good[:12], errForeign.Error()},
		{"eleven octets", good[:11], errForeign.Error()},
		{"nothing", nil, errForeign.Error()},
		{"TC", edited(good, 2, good[2]|0x02), errCut.Error()},
		{"REFUSED in a header alone", []byte{0x12, 0x34, 0x80, 5, 0, 0, 0, 0, 0, 0, 0, 0}, "REFUSED"},
		{"NXDOMAIN in a header alone", []byte{0x12, 0x34, 0x80, 3, 0, 0, 0, 0, 0, 0, 0, 0}, errForeign.Error()},
		{"count over the records", edited(good, 7, 2), errMalformed.Error()},
		{"authority count over the records", edited(good, 9, 1), errMalformed.Error()},
		{"additional count over the records", edited(good, 11, 1), errMalformed.Error()},
		{"data longer than the message", edited(good, len(good)-5, 200), errMalformed.Error()},
		{"address of three octets", edited(good[:len(good)-1], len(good)-5, 3), errMalformed.Error()},
		{"reserved label type", edited(good, 27, 0x80), errMalformed.Error()},
		{"pointer to itself", edited(good, 28, 27), errMalformed.Error()},
		{"another class is no answer", edited(good, 32, 3), "nodata"},
		{"NXDOMAIN with the records", message(t, mdns.TypeA, 3, answerA), errMalformed.Error()},
		{"NXDOMAIN", message(t, mdns.TypeA, 3, "--", soa), "nxdomain"},
		{"NXDOMAIN without SOA", message(t, mdns.TypeA, 3), "nxdomain"},
		{"no data", message(t, mdns.TypeA, 0, "--", soa), "nodata"},
		{"no data, SOA and NS", message(t, mdns.TypeA, 0, "--", soa, "example. 60 IN NS ns.example."), "nodata"},
		{"no data, no SOA", message(t, mdns.TypeA, 0), "nodata"},
		{"referral", message(t, mdns.TypeA, 0, "--", "example. 60 IN NS ns.example."), "does not recurse"},
		{"records of another name", message(t, mdns.TypeA, 0, "b.example. 60 IN A 192.0.2.1"), "nodata"},
		{"alias and target", message(t, mdns.TypeA, 0, "a.example. 60 IN CNAME B.example.", "b.EXAMPLE. 60 IN A 192.0.2.1"), "ok"},
		{"target before alias", message(t, mdns.TypeA, 0, "b.example. 60 IN A 192.0.2.1", "a.example. 60 IN CNAME b.example."), "ok"},
		{"alias beside records", message(t, mdns.TypeA, 0, "a.example. 60 IN CNAME b.example.", answerA), "ok"},
		{"alias alone", message(t, mdns.TypeA, 0, "a.example. 60 IN CNAME b.example."), "follow b.example."},
		{"alias, SOA of another zone", message(t, mdns.TypeA, 0, "a.example. 60 IN CNAME b.test.", "--", soa), "follow b.test."},
		{"alias to no data", message(t, mdns.TypeA, 0, "a.example. 60 IN CNAME b.example.", "--", soa), "nodata"},
		{"alias to NXDOMAIN", message(t, mdns.TypeA, 3, "a.example. 60 IN CNAME b.example."), "nxdomain"},
		{"alias to itself", message(t, mdns.TypeA, 0, "a.example. 60 IN CNAME a.example."), "CNAME loop"},
		{"alias to the root", message(t, mdns.TypeA, 0, "a.example. 60 IN CNAME ."), "follow ."},
		{"FORMERR", message(t, mdns.TypeA, mdns.RcodeFormatError), "FORMERR"},
		{"NOTAUTH", message(t, mdns.TypeA, mdns.RcodeNotAuth), "NOTAUTH"},
		{"RCODE without a name", message(t, mdns.TypeA, 12), "RCODE 12"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			f, err := judge(tc.msg, mustQuery(t, "a.example", mdns.TypeA))
			var got string
			switch {
			case err != nil:
				got = err.Error()
			case f.follow != "":
				got = "follow " + f.follow
			default:
				got = f.outcome
			}
			if !strings.Contains(got, tc.want) || got == "" {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// TestCutAnswers: no beginning of an answer is an answer. Taken for one, it
// would say that records are not there.
func TestCutAnswers(t *testing.T) {
	for what, msg := range map[string][]byte{
		"A":        message(t, mdns.TypeA, 0, answerA, "a.example. 60 IN A 192.0.2.2", "--", "example. 60 IN NS ns.example."),
		"TXT":      message(t, mdns.TypeTXT, 0, `a.example. 60 IN TXT "a" "b"`, `a.example. 60 IN TXT "c"`),
		"MX":       message(t, mdns.TypeMX, 0, "a.example. 60 IN MX 1 b.example.", "a.example. 60 IN MX 2 c.example."),
		"NXDOMAIN": message(t, mdns.TypeA, 3, "--", soa),
		"no data":  message(t, mdns.TypeA, 0, "--", soa),
	} {
		q := mustQuery(t, "a.example", binary.BigEndian.Uint16(msg[headerLen+11:]))
		if _, err := judge(msg, q); err != nil {
			t.Fatalf("%s, whole: %v", what, err)
		}
		for n := range msg {
			if f, err := judge(msg[:n], q); err == nil {
				t.Errorf("%s, cut to %d of %d octets: %+v", what, n, len(msg), f)
			}
		}
	}
}

func TestExtendedErrors(t *testing.T) {
	m := new(mdns.Msg).SetQuestion("a.example.", mdns.TypeA)
	m.Id, m.Response, m.Rcode = testID, true, mdns.RcodeServerFailure
	m.SetEdns0(1232, false)
	opt := m.IsEdns0()
	opt.Option = append(opt.Option, &mdns.EDNS0_NSID{Code: mdns.EDNS0NSID, Nsid: "aabb"},
		&mdns.EDNS0_EDE{InfoCode: mdns.ExtendedErrorCodeDNSBogus, ExtraText: "not shown"})
	p, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := judge(p, mustQuery(t, "a.example", mdns.TypeA)); err == nil || err.Error() != "SERVFAIL (extended error 6 DNSSEC Bogus)" {
		t.Errorf("got %v", err)
	}
	m.Rcode = mdns.RcodeBadVers // stands in header and OPT
	opt.Option = []mdns.EDNS0{&mdns.EDNS0_LOCAL{Code: mdns.EDNS0EDE, Data: []byte{1}}}
	if p, err = m.Pack(); err != nil {
		t.Fatal(err)
	}
	_, err = judge(p, mustQuery(t, "a.example", mdns.TypeA))
	if f := (*failure)(nil); !errors.As(err, &f) || !f.dropEDNS {
		t.Errorf("BADVERS: %v", err)
	}
}

func TestAnswerTTL(t *testing.T) {
	cases := []struct {
		name string
		msg  []byte
		want time.Duration
	}{
		{"least of the records", message(t, mdns.TypeA, 0, answerA, "a.example. 30 IN A 192.0.2.2"), 30 * time.Second},
		{"as long as it says", message(t, mdns.TypeA, 0, "a.example. 86400 IN A 192.0.2.1"), 24 * time.Hour},
		{"top bit set", message(t, mdns.TypeA, 0, "a.example. 2147483648 IN A 192.0.2.1"), 0},
		{"minimum of the SOA", message(t, mdns.TypeA, 3, "--", soa), 40 * time.Second},
		{"TTL of the SOA", message(t, mdns.TypeA, 3, "--", "example. 20 IN SOA ns.example. h.example. 1 1 1 1 40"), 20 * time.Second},
		{"no SOA", message(t, mdns.TypeA, 3), unsignedTTL},
		{"SOA of another zone", message(t, mdns.TypeA, 3, "--", "ample. 5 IN SOA ns.example. h.example. 1 1 1 1 5"), unsignedTTL},
		{"SOA of the root", message(t, mdns.TypeA, 3, "--", ". 5 IN SOA ns.example. h.example. 1 1 1 1 5"), 5 * time.Second},
		{"alias to nothing", message(t, mdns.TypeA, 3, "a.example. 9 IN CNAME b.example.", "--", soa), 9 * time.Second},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			f, err := judge(tc.msg, mustQuery(t, "a.example", mdns.TypeA))
			if err != nil || f.ttl != tc.want {
				t.Errorf("got %+v, %v, want %v", f, err, tc.want)
			}
		})
	}
}

func TestPacket(t *testing.T) {
	for _, edns := range []bool{false, true} {
		var m mdns.Msg
		q := mustQuery(t, `a"b\.example`, mdns.TypeTXT)
		if err := m.Unpack(q.packet(testID, edns)); err != nil {
			t.Fatal(err)
		}
		if m.Id != testID || m.Response || !m.RecursionDesired || len(m.Question) != 1 ||
			m.Question[0] != (mdns.Question{Name: `a\"b\\.example.`, Qtype: mdns.TypeTXT, Qclass: mdns.ClassINET}) {
			t.Errorf("query is %v", &m)
		}
		if opt := m.IsEdns0(); (opt != nil) != edns || edns && (opt.UDPSize() != udpSize || opt.Version() != 0 || opt.Do()) {
			t.Errorf("OPT is %v", opt)
		}
	}
}

// FuzzAnswer processes any octets like an answer.
func FuzzAnswer(f *testing.F) {
	types := []uint16{mdns.TypeA, mdns.TypeAAAA, mdns.TypeTXT, mdns.TypeMX, mdns.TypePTR}
	for _, seed := range [][]byte{
		message(f, mdns.TypeA, 0, answerA, "a.example. 30 IN A 192.0.2.2"),
		message(f, mdns.TypeAAAA, 0, "a.example. 30 IN CNAME b.test.", "b.test. 30 IN AAAA 2001:db8::1"),
		message(f, mdns.TypeTXT, 0, `a.example. 30 IN TXT "v=spf1" " -all"`, `a.example. 0 IN TXT ""`),
		message(f, mdns.TypeMX, 0, "a.example. 30 IN MX 2 b.example.", `a.example. 30 IN MX 1 a\.\200b.`, "a.example. 30 IN MX 0 ."),
		message(f, mdns.TypePTR, 0, "a.example. 30 IN PTR b.example.", "a.example. 30 IN PTR c.example."),
		message(f, mdns.TypeTXT, 3, "a.example. 30 IN CNAME b.example.", "--", soa),
		message(f, mdns.TypeTXT, 0, "a.example. 30 IN CNAME a.example."),
		message(f, mdns.TypeA, 2),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		for _, qtype := range types {
			q := mustQuery(t, "a.example", qtype)
			found, err := judge(msg, q)
			if err != nil {
				continue
			}
			if len(msg) < headerLen || binary.BigEndian.Uint16(msg) != testID || !equalFold(msg[headerLen:headerLen+11], q.question[:11]) {
				t.Fatal("not an answer to the query")
			}
			if found.ttl < 0 || found.ttl > 1<<31*time.Second || found.hops > maxHops {
				t.Errorf("ttl %v, %d aliases", found.ttl, found.hops)
			}
			checkInterpretation(t, msg, q, found)
		}
	})
}

// checkInterpretation compares with the library's result, if the library can read the message.
func checkInterpretation(t *testing.T, msg []byte, q *query, found *interpretation) {
	t.Helper()
	var m mdns.Msg
	if m.Unpack(msg) != nil {
		return
	}
	records := 0
	for _, rr := range m.Answer {
		if rr.Header().Rrtype == q.qtype && rr.Header().Class == mdns.ClassINET {
			records++
		}
	}
	switch {
	case found.follow != "" || found.outcome != outcomeOK:
		if found.res != nil || found.follow == "" && found.outcome != outcomeNXDomain && found.outcome != outcomeNoData {
			t.Errorf("interpretation %+v", found)
		}
		if found.outcome == outcomeNXDomain && m.Rcode != mdns.RcodeNameError || found.outcome != outcomeNXDomain && m.Rcode != mdns.RcodeSuccess {
			t.Errorf("%s of an answer with rcode %d", found.outcome, m.Rcode)
		}
	case found.res == nil:
		t.Error("ok without a result")
	default:
		if n := len(found.res.txt) + len(found.res.addrs) + len(found.res.names); n > records || n > maxRecords || records == 0 {
			t.Errorf("%d values of %d records", n, records)
		}
	}
}

// TestTXTWithoutStrings has a TXT record without any string among others: it costs
// that record, not the answer.
func TestTXTWithoutStrings(t *testing.T) {
	msg := message(t, mdns.TypeTXT, 0)
	const records = "\xc0\x0c\x00\x10\x00\x01\x00\x00\x00\x3c\x00\x00" + "\xc0\x0c\x00\x10\x00\x01\x00\x00\x00\x3c\x00\x04\x03abc"
	msg = append(edited(msg, 7, 2), records...)
	f, err := judge(msg, mustQuery(t, "a.example", mdns.TypeTXT))
	if err != nil || f.outcome != outcomeOK || len(f.res.txt) != 1 || f.res.txt[0] != "abc" {
		t.Errorf("%+v, %v", f, err)
	}
}

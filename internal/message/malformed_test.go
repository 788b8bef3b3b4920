package message

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/mail"
	"regexp"
	"strings"
	"testing"
	"unicode/utf16"

	"dmarcd/internal/dns"

	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

// Fields that break RFC 5322 as software in the wild writes them, with one clear
// address. net/mail refuses nearly all of them.
var malformedButClear = []struct{ name, in string }{
	{"colon in the phrase", "Re: Ann <a@example.com>"},
	{"colon behind the phrase", "Ann: <a@example.com>"},
	{"two colons", "Shop: News: <a@example.com>"},
	{"colon before a bare address", "Contact: a@example.com"},
	{"mailto before a bare address", "mailto:a@example.com"},
	{"mailto in the angle", "Ann <mailto:a@example.com>"},
	{"group without an end", "Team: a@example.com"},
	{"group within a group", "A: B: a@example.com;;"},
	{"group without a name", ": a@example.com;"},
	{"text after a group", "A: a@example.com; Ann"},
	{"comma in the phrase", "Doe, John <a@example.com>"},
	{"comma after an encoded word", "=?utf-8?Q?Doe?=, John <a@example.com>"},
	{"comma after an encoded word, no phrase", "=?utf-8?B?RG9l?=, <a@example.com>"},
	{"comma after a Japanese encoded word", "=?iso-2022-jp?B?GyRCO3NFRBsoQg==?=, <a@example.com>"},
	{"comma after a Chinese encoded word", "=?gb2312?B?1cXI/Q==?=, <a@example.com>"},
	{"encoded word with text behind", "=?utf-8?Q?Doe?=x, <a@example.com>"},
	{"encoded word with raw spaces", "=?utf-8?Q?Ann Example?=, <a@example.com>"},
	{"encoded word without an end", "=?utf-8?Q?Ann, <a@example.com>"},
	{"base64 without an end", "=?utf-8?B?QW5u, <a@example.com>"},
	{"base64 without padding", "=?utf-8?B?QW5uZQ?=, <a@example.com>"},
	{"at sign in an encoded word", "=?utf-8?Q?Ann_=40_Example?=, <a@example.com>"},
	{"same domain in an encoded word", "=?utf-8?Q?a=40example.com?=, <a@example.com>"},
	{"encoded word in an unknown 8-bit charset", "=?unknown-8bit?Q?B=FCcher?=, <a@example.com>"},
	{"encoded word without a charset", "=??Q?Ann?=, <a@example.com>"},
	{"encoded word in Windows Latin", "=?windows-1252?Q?B=FCcher?=: <a@example.com>"},
	{"encoded word in cp932", "=?cp932?B?k/qWew==?=, <a@example.com>"},
	{"Japanese encoded words with padding", "=?utf-8?B?5pel5pys?=\r\n =?utf-8?B?6Kqew4A=?= =?utf-8?B?w4E=?=, <a@example.com>"},
	{"question", "Who =? Ann, <a@example.com>"},
	{"semicolon behind a bare address", "a@example.com;"},
	{"semicolon behind the angle", "Ann <a@example.com>;"},
	{"semicolon in the phrase", "Ann; Bob <a@example.com>"},
	{"semicolon first", "; a@example.com"},
	{"at sign before a single word", "Ann @ann <a@example.com>"},
	{"at sign between words", "Ann @ Example <a@example.com>"},
	{"at sign before an abbreviation", "Ann @ Example Inc. <a@example.com>"},
	{"at sign last in the phrase", "Ann @ <john.doe@example.com>"},
	{"at sign first", "@ann <a@example.com>"},
	{"price behind an at sign", "Shoes @ $9.99: <a@example.com>"},
	{"time behind an at sign", "News @ 10.30: <a@example.com>"},
	{"rebate behind an at sign", "Shoes @ 50% off. Now: <a@example.com>"},
	{"angle left open", "Ann <a@example.com"},
	{"angle left open before text", "Ann <a@example.com (Sales)"},
	{"angle closed only", "a@example.com>"},
	{"angle twice", "Ann <<a@example.com>>"},
	{"parenthesis left open", "Ann (Sales <a@example.com>"},
	{"parenthesis closed only", "Ann Sales) <a@example.com>"},
	{"bracket left open", "[List Ann <a@example.com>"},
	{"brackets in the phrase", "[List] Ann <a@example.com>"},
	{"quote left open", "\"Ann <a@example.com>"},
	{"quote closed only", "Ann\" <a@example.com>"},
	{"quote within quotes", "\"Ann \"The Boss\" Example\" \" <a@example.com>"},
	{"all in quotes", "\"Ann <a@example.com>\""},
	{"bare address in quotes", "\"a@example.com\""},
	{"bare address in single quotes", "'a@example.com'"},
	{"bare address in brackets", "Ann [a@example.com]"},
	{"bare address in parentheses", "Ann (a@example.com)"},
	{"text behind a bare address", "a@example.com Ann"},
	{"text before a bare address", "Ann a@example.com"},
	{"text behind the angle", "<a@example.com> Ann"},
	{"text and comment behind the angle", "<a@example.com> (Ann) via List"},
	{"comma and text behind the angle", "<a@example.com>, Ann"},
	{"dot behind the angle", "Ann <a@example.com>."},
	{"words in the angle", "<Ann a@example.com>"},
	{"null address beside an address", "<> a@example.com"},
	{"null address before an address", "<>, <a@example.com>"},
	{"word in an angle beside an address", "Ann <Sales> <a@example.com>"},
	{"the address as a phrase", "a@example.com <a@example.com>"},
	{"other letter case as a phrase", "A@Example.COM <a@example.com>"},
	{"the same domain in a phrase", "sales@example.com <a@example.com>"},
	{"the address twice in angles", "Ann <a@example.com> <a@example.com>"},
	{"the address twice", "a@example.com; a@example.com"},
	{"backslashes in the phrase", "Ann \\(Sales\\) <a@example.com>"},
	{"backslash before the quote", "Ann O\\'Brien <a@example.com>"},
	{"backslash in the address", "a\\@example.com, <a@example.com>"},
	{"dots in the local part", "Ann: <.a..b.@example.com>"},
	{"space in the angle", "Ann: < a@example.com >"},
	{"quoted local part", "Ann: <\"a b\"@example.com>"},
	{"raw Latin-1", "B\xfccher: <a@example.com>"},
	{"raw Latin-1 by the grammar", "B\xfccher <a@example.com>"},
	{"raw Shift_JIS", "\x93\xfa\x96{ <a@example.com>"},
	{"raw GBK", "\xd5\xc5\xc8\xfd <a@example.com>"},
	{"raw ISO-2022-JP", "\x1b$B;3ED\x1b(B <a@example.com>"},
	{"raw ISO-2022-JP with an at sign octet", "\x1b$B%@%$%\"\x1b(B <a@example.com>"},
	{"raw UTF-8", "Bücher: <a@example.com>"},
	{"comments too deep", strings.Repeat("(", 65) + strings.Repeat(")", 65) + "a@example.com"},
	{"comment without an end", "a@example.com (\\"},
	{"empty quotes", "\"\" \" <a@example.com>"},
	{"fold", "Doe,\r\n John <a@example.com>"},
}

func TestMalformedButClear(t *testing.T) {
	for _, c := range malformedButClear {
		t.Run(c.name, func(t *testing.T) {
			check(t, ParseAuthor(from(" "+c.in)), "example.com")
		})
	}
	single := ParseAuthor(from(" Cron: <root@localhost>"))
	check(t, single, "localhost")
	if single.Local != "root" {
		t.Errorf("local part %q, want root", single.Local)
	}
}

// What net/mail reads of a malformed field, we read the same.
func TestMalformedAgainstNetMail(t *testing.T) {
	read := 0
	for _, c := range malformedButClear {
		list, err := mail.ParseAddressList(c.in)
		if err != nil || c.name == "bare address in single quotes" { // net/mail reads the domain "example.com'"
			continue
		}
		read++
		for _, a := range list {
			if !strings.HasSuffix(strings.ToLower(a.Address), "@example.com") {
				t.Errorf("%s: net/mail reads %s", c.name, a.Address)
			}
		}
	}
	if read == len(malformedButClear) {
		t.Error("net/mail reads all of them: the table has no malformed field")
	}
}

// Fields that break RFC 5322 in which a reader could see another author than x@evil.test.
var malformedAttacks = []struct{ name, in, want string }{
	{"NUL in an encoded word", "=?utf-8?Q?ceo=40victim=00.example?=, <x@evil.test>", many},
	{"backspace in an encoded word", "=?utf-8?Q?ceo=40=08victim.example?=, <x@evil.test>", many},
	{"soft line end in an encoded word", "=?utf-8?Q?ceo=40victim=\r\n .example?=, <x@evil.test>", many},
	{"HTML escape with zeros", "ceo&#0064;victim.example, <x@evil.test>", many},
	{"HTML escape without an end", "ceo&#x40victim.example, <x@evil.test>", many},
	{"URL escape twice", "ceo%2540victim.example, <x@evil.test>", many},
	{"URL escape of letters", "ceo%40%76ictim%2eexample, <x@evil.test>", many},
	{"address of four numbers", "ceo@192.0.2.1, <x@evil.test>", many},
	{"braces", "ceo@{victim.example}, <x@evil.test>", many},
	{"slash", "ceo@victim/.example, <x@evil.test>", many},
	{"asterisk", "ceo@*victim.example*, <x@evil.test>", many},
	{"shown backwards", "\u202eelpmaxe.mitciv@oec\u202c, <x@evil.test>", bad},
	{"encoded address and a comma", "=?utf-8?Q?ceo=40victim.example?=, <x@evil.test>", many},
	{"encoded address with text behind", "=?utf-8?Q?ceo=40victim.example_?=x, <x@evil.test>", many},
	{"address as a phrase", "ceo@victim.example <x@evil.test>", many},
	{"address in a phrase", "Ann ceo@victim.example via List <x@evil.test>", many},
	{"address in a quoted phrase", "[x] \"ceo@victim.example\" <x@evil.test>", many},
	{"address in a comment", "[x] (ceo@victim.example) <x@evil.test>", many},
	{"quoted, then a comma", "\"ceo@victim.example\", <x@evil.test>", many},
	{"at sign first", "@victim.example <x@evil.test>", many},
	{"two angles", "<ceo@victim.example> <x@evil.test>", many},
	{"two angles of a domain", "<ceo@evil.test> <x@evil.test>", many},
	{"two bare addresses of a domain", "ceo@evil.test; x@evil.test", many},
	{"angle and bare", "<x@evil.test> ceo@victim.example", many},
	{"angle left open before another", "<ceo@victim.example, x@evil.test>", many},
	{"route in a malformed field", "[x] <@victim.example:x@evil.test>", many},
	{"source route without a colon", "<@victim.example x@evil.test>", many},
	{"two at signs", "ceo@victim.example@evil.test", many},
	{"two at signs in the angle", "<ceo@victim.example@evil.test>", many},
	{"quoted at sign in the local part", "[x] <\"ceo@victim.example\"@evil.test>", many},
	{"encoded word in the local part", "=?utf-8?Q?ceo=40victim.example?=@evil.test", many},
	{"encoded word in the local part in an angle", "<=?utf-8?Q?ceo=40victim.example=3E_?=@evil.test>", many},
	{"domain literal", "ceo@[192.0.2.1], <x@evil.test>", many},
	{"IPv6 literal", "ceo@[IPv6:2001:db8::1], <x@evil.test>", many},
	{"percent", "ceo%40victim.example, <x@evil.test>", many},
	{"percent, dot too", "ceo%40victim%2Eexample, <x@evil.test>", many},
	{"HTML", "ceo&#64;victim.example, <x@evil.test>", many},
	{"HTML in an encoded word", "=?utf-8?Q?ceo=26commat;victim.example?=, <x@evil.test>", many},
	{"fullwidth at sign", "ceo\uff20victim.example, <x@evil.test>", many},
	{"small at sign", "ceo\ufe6bvictim.example, <x@evil.test>", many},
	{"fullwidth at sign alone", "ceo\uff20victim.example, x", bad},
	{"ideographic full stop", "ceo@victim\u3002example, <x@evil.test>", many},
	{"fullwidth dot", "ceo@victim\uff0eexample, <x@evil.test>", many},
	{"one dot leader", "ceo@victim\u2024example, <x@evil.test>", many},
	{"dots of two kinds", "ceo@victim.\uff0eexample, <x@evil.test>", many},
	{"zero width space", "ceo@\u200bvictim.example, <x@evil.test>", many},
	{"zero width space in a label", "ceo@vic\u200btim.example, <x@evil.test>", many},
	{"no-break space", "ceo@\u00a0victim.example, <x@evil.test>", many},
	{"space round the at sign", "ceo @ victim.example, <x@evil.test>", many},
	{"space round the dot", "ceo@victim . example, <x@evil.test>", many},
	{"comment round the dot", "ceo@victim(c).(d)example, <x@evil.test>", many},
	{"comment in a label", "ceo@vic(c)tim.example, <x@evil.test>", many},
	{"comment behind the at sign", "ceo@(c)victim.example, <x@evil.test>", many},
	{"nested comment", "ceo@vic((c)d)tim.example, <x@evil.test>", many},
	{"quotes in a label", "ceo@vic\"\"tim.example, <x@evil.test>", many},
	{"quotes round a label", "ceo@\"victim\".example, <x@evil.test>", many},
	{"backslash before the dot", "\"ceo@victim\\.example\", <x@evil.test>", many},
	{"backslash in a label", "\"ceo@vic\\tim.example\", <x@evil.test>", many},
	{"angle before the dot", "<ceo@victim>.example, <x@evil.test>", many},
	{"fold in a label", "ceo@vic\r\n tim.example, <x@evil.test>", many},
	{"fold behind the at sign", "ceo@\r\n\tvictim.example, <x@evil.test>", many},
	{"sub-domain", "ceo@mail.evil.test, <x@evil.test>", many},
	{"parent domain", "ceo@evil.test, <x@mail.evil.test>", many},
	{"longer domain", "ceo@evil.test.victim.example, <x@evil.test>", many},
	{"percent behind the domain", "<x@evil.test%victim.example>", bad},
	{"label of 64 octets", "ceo@" + strings.Repeat("a", 64) + ".victim.example, <x@evil.test>", many},
	{"author's label of 64 octets", "Ann: <x@" + strings.Repeat("a", 64) + ".evil.test>", bad},
	{"nested encoded word", "=?utf-8?Q?=3D=3Futf-8=3FQ=3Fceo=3D40victim.example=3F=3D?=, <x@evil.test>", many},
	{"encoded word nested twice", "=?utf-8?Q?=3D=3Futf-8=3FQ=3F=3D3D=3D3Futf-8=3D3FQ=3D3Fceo=3D3D40victim.example=3D3F=3D3D=3F=3D?=, <x@evil.test>", bad},
	{"escape cut in two", "=?utf-8?Q?ceo=4?= =?utf-8?Q?0victim.example?=, <x@evil.test>", many},
	{"base64 cut off its quantum", "=?utf-8?B?Y2VvQH?= =?utf-8?B?ZpY3RpbS5leGFtcGxl?=, <x@evil.test>", many},
	{"cut at the dot", "=?utf-8?Q?ceo=40victim?=.=?utf-8?Q?example?=, <x@evil.test>", many},
	{"cut in a label, a comment between", "=?utf-8?Q?ceo=40vic?= (c) =?utf-8?Q?tim.example?=, <x@evil.test>", many},
	{"cut in a label, quotes round", "\"=?utf-8?Q?ceo=40vic?=\" \"=?utf-8?Q?tim.example?=\", <x@evil.test>", many},
	{"only the at sign encoded", "ceo=?utf-8?Q?=40?=victim.example, <x@evil.test>", many},
	{"two ends", "=?utf-8?Q?ceo?=40victim.example?=, <x@evil.test>", bad},
	{"no end", "=?utf-8?Q?ceo=40victim.example, <x@evil.test>", many},
	{"no end, base64", "=?utf-8?B?Y2VvQHZpY3RpbS5leGFtcGxl, <x@evil.test>", many},
	{"padding in the middle", "=?utf-8?B?Y2Vv=QHZpY3RpbS5leGFtcGxl?=, <x@evil.test>", bad},
	{"too much padding", "=?utf-8?B?Y2VvQHZpY3RpbS5leGFtcGxl====?=, <x@evil.test>", many},
	{"no padding", "=?utf-8?B?YTogY2VvQHZpY3RpbS5leGFtcGxl?=, <x@evil.test>", many},
	{"URL-safe base64", "=?utf-8?B?Pz4_Y2VvQHZpY3RpbS5leGFtcGxl?=, <x@evil.test>", many},
	{"junk in base64", "=?utf-8?B?Y2Vv!QHZpY3RpbS5leGFtcGxl?=, <x@evil.test>", bad},
	{"space in base64", "=?utf-8?B?Y2Vv QHZpY3RpbS5leGFtcGxl?=, <x@evil.test>", many},
	{"fold in base64", "=?utf-8?B?Y2Vv\r\n QHZpY3RpbS5leGFtcGxl?=, <x@evil.test>", many},
	{"language", "=?utf-8*en?Q?ceo=40victim.example?=, <x@evil.test>", many},
	{"no charset", "=??Q?ceo=40victim.example?=, <x@evil.test>", many},
	{"spaces in the encoded word", "=? utf-8 ? q ?ceo=40victim.example?=, <x@evil.test>", many},
	{"overlong UTF-8", "=?utf-8?Q?ceo=C1=80victim.example?=, <x@evil.test>", many},
	{"overlong UTF-8, three octets", "=?utf-8?Q?ceo=E0=81=80victim.example?=, <x@evil.test>", many},
	{"overlong UTF-8, four octets, the dot too", "=?utf-8?Q?ceo=F0=80=81=80victim=C0=AEexample?=, <x@evil.test>", many},
	{"charset that nobody knows", "=?x-secret?Q?ceo=7Cvictim.example?=, <x@evil.test>", bad},
	{"EBCDIC that we do not know", "=?cp500?Q?=83=85=96=7C?=, <x@evil.test>", bad},
	{"ISO-2022-KR", "=?iso-2022-kr?B?GyQpQw4jQA8=?=, <x@evil.test>", bad},
	{"two charsets", "=?utf-8?Q?ceo=40?= =?us-ascii?Q?victim.example?=, <x@evil.test>", many},
	{"raw Shift_JIS fullwidth at sign", "ceo\x81\x97victim.example, <x@evil.test>", many},
	{"raw EUC-JP fullwidth at sign", "ceo\xa1\xf7victim.example, <x@evil.test>", many},
	{"raw GBK fullwidth at sign", "ceo\xa3\xc0victim.example, <x@evil.test>", many},
	{"raw Big5 fullwidth at sign", "ceo\xa2Ivictim.example, <x@evil.test>", many},
	{"raw ISO-2022-JP fullwidth at sign", "ceo\x1b$B!w\x1b(Bvictim.example, <x@evil.test>", many},
	{"Shift_JIS that ends in a backslash", "\"X\x83\\\" <ceo@victim.example>, \"Y <x@evil.test>", many},
	{"escape that is no ISO-2022-JP", "\x1b[8mceo <x@evil.test>", bad},
	{"NUL", "Ann: \x00 <x@evil.test>", bad},
	{"backspace", "Ann: \b <x@evil.test>", bad},
	{"line end", "Ann: <x@evil.test>\r\nceo@victim.example", bad},
}

func TestMalformedAttacks(t *testing.T) {
	for _, c := range malformedAttacks {
		t.Run(c.name, func(t *testing.T) {
			a := ParseAuthor(from(" " + c.in))
			check0(t, a, c.want)
		})
	}
}

// check0 is check where the domains need not be known.
func check0(t *testing.T, a Author, want string) {
	t.Helper()
	if wantErr := map[string]error{many: ErrSeveralAddresses, bad: ErrBadFrom}[want]; !errors.Is(a.Err, wantErr) {
		t.Errorf("error %v, domain %q; want %v", a.Err, a.Domain, wantErr)
	}
	checkAuthor(t, a)
}

// frames are malformed fields round something that could be taken for an address.
var frames = []string{
	"%s, <x@evil.test>", "%s; <x@evil.test>", "%s: <x@evil.test>", "[%s] <x@evil.test>", "%s <x@evil.test",
	"%s <<x@evil.test>>", "<x@evil.test> %s", "x@evil.test %s", "%s x@evil.test", "\"%s\", <x@evil.test>",
	"(%s) x, <x@evil.test>", "Ann, \"%s\" <x@evil.test>", "%s_x, <x@evil.test>", "x%s, <x@evil.test>",
}

// TestMalformedHidden hides an address in encoded words of many charsets, cuts it at
// every place, and puts it into every frame.
func TestMalformedHidden(t *testing.T) {
	for charset, octets := range hiddenOctets(t) {
		t.Run(charset, func(t *testing.T) {
			for cut := range len(octets) {
				some := frames[:1] // a cut is the same in all of them
				if cut == 0 {
					some = frames
				}
				for _, hidden := range encodedIn(charset, octets[:cut], octets[cut:]) {
					for _, frame := range some {
						in := fmt.Sprintf(frame, hidden)
						if a := ParseAuthor(from(" " + in)); a.Err == nil {
							t.Fatalf("%q: domain %s", in, a.Domain)
						}
					}
				}
			}
		})
	}
}

// hiddenOctets is an address in each charset, wide characters where that has them.
func hiddenOctets(t *testing.T) map[string]string {
	t.Helper()
	const plain, wide = "ceo@victim.example", "ceo＠ｖｉｃｔｉｍ．ｅｘａｍｐｌｅ"
	big, little := "", ""
	for _, u := range utf16.Encode([]rune(plain)) {
		big += string([]byte{byte(u >> 8), byte(u)})
		little += string([]byte{byte(u), byte(u >> 8)})
	}
	all := map[string]string{
		"utf-8": plain, "us-ascii": plain, "iso-8859-1": plain, "windows-1252": plain, "koi8-r": plain, "UTF-8": wide,
		"utf-16be": big, "utf-16le": little, "utf-16": big, "UTF-16": little,
		"utf-7": "ceo+AEA-victim.example", "UTF-7": "ceo+AEAAdgBpAGMAdABpAG0ALgBlAHgAYQBtAHAAbABl-",
	}
	for name, e := range map[string]interface{ String(string) (string, error) }{
		"iso-2022-jp": japanese.ISO2022JP.NewEncoder(), "shift_jis": japanese.ShiftJIS.NewEncoder(), "euc-jp": japanese.EUCJP.NewEncoder(),
		"gb2312": simplifiedchinese.GBK.NewEncoder(), "gb18030": simplifiedchinese.GB18030.NewEncoder(), "hz-gb-2312": simplifiedchinese.HZGB2312.NewEncoder(),
		"big5": traditionalchinese.Big5.NewEncoder(), "euc-kr": korean.EUCKR.NewEncoder(), "ks_c_5601-1987": korean.EUCKR.NewEncoder(),
	} {
		s, err := e.String(wide)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all[name] = s
	}
	s, err := charmap.CodePage037.NewEncoder().String(plain)
	if err != nil {
		t.Fatal(err)
	}
	all["ibm037"] = s
	return all
}

// encodedIn writes the two halves as encoded words side by side.
func encodedIn(charset, one, two string) []string {
	q := func(s string) string {
		text := ""
		for i := range len(s) {
			text += fmt.Sprintf("=%02X", s[i])
		}
		return text
	}
	b := base64.StdEncoding.EncodeToString
	raw := base64.RawStdEncoding.EncodeToString
	word := func(encoding, text string) string { return "=?" + charset + "?" + encoding + "?" + text + "?=" }
	whole, text64 := q(one+two), b([]byte(one+two))
	half := len(text64) / 2
	return []string{
		word("Q", whole), word("b", text64),
		word("Q", q(one)) + " " + word("Q", q(two)),
		word("q", q(one)) + word("q", q(two)),
		word("q", q(one)) + "\r\n " + word("q", q(two)),
		word("B", b([]byte(one))) + " " + word("B", b([]byte(two))),
		word("B", raw([]byte(one))) + " \t " + word("B", raw([]byte(two))),
		word("B", text64[:half]) + " " + word("B", text64[half:]),
		word("Q", whole[:len(one)*3/2]) + " " + word("Q", whole[len(one)*3/2:]),
	}
}

var nameAfterAt = regexp.MustCompile(`@([\w\pL\pN\pM-]+(?:\.[\w\pL\pN\pM-]+)+)`)

// FuzzMalformed asks the standard library's decoder for another opinion. In a field that
// the grammar does not take, the decoded text must not have an address of another domain.
func FuzzMalformed(f *testing.F) {
	for _, c := range malformedButClear {
		f.Add(c.in)
	}
	for _, c := range malformedAttacks {
		f.Add(c.in)
	}
	decoder := mime.WordDecoder{CharsetReader: func(charset string, in io.Reader) (io.Reader, error) {
		e, err := htmlindex.Get(charset)
		if err != nil {
			return nil, err
		}
		return e.NewDecoder().Reader(in), nil
	}}
	f.Fuzz(func(t *testing.T, s string) {
		a := ParseAuthor(from(s))
		checkAuthor(t, a)
		if a.Err != nil || grammatical(s) {
			return
		}
		decoded, err := decoder.DecodeHeader(s)
		if err != nil {
			decoded = s
		}
		for _, text := range []string{s, decoded} {
			for _, m := range nameAfterAt.FindAllStringSubmatch(text, -1) {
				if n, err := dns.Parse(m[1]); err != nil || n != a.Domain {
					t.Errorf("%q: domain %s, but %q holds @%s", s, a.Domain, text, m[1])
				}
			}
		}
		if !strings.Contains(s, "@") {
			t.Errorf("%q: domain %s without an at sign", s, a.Domain)
		}
	})
}

func BenchmarkParseAuthorMalformed(b *testing.B) {
	fill := func(s string) string { return strings.Repeat(s, (maxMalformedLen-100)/len(s)) }
	for name, in := range map[string]string{
		"ordinary":      " Doe, John <a@example.com>",
		"encoded":       " =?utf-8?B?RG9l?=, John <a@example.com>",
		"at signs":      " a@example.com, <" + fill("@b"),
		"brackets":      " a@example.com, (" + fill("@["),
		"encoded words": fill("=?gb18030?B?1cU=?= \xfe(") + " a@example.com,",
		"nested":        fill("=?utf-8?Q?=3D=3Futf-8=3FQ=3Fa=3F=3D?=\xfe(\"") + " a@example.com,",
		"escapes":       fill("\"%40(") + ", a@example.com",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			h := from(in)
			for b.Loop() {
				ParseAuthor(h)
			}
		})
	}
}

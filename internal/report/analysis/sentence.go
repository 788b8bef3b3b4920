package analysis

import (
	"strconv"
	"strings"

	"dmarcd/internal/report"
	"dmarcd/internal/settings"
)

// maxReason bounds the comment of a reason in a sentence, in octets.
const maxReason = 120

// Tell describes the record in one sentence, in that language. Foreign texts in it are as
// sent: code that shows it must make it safe.
func (d *Detail) Tell(language settings.Language) string {
	t := sentence{texts: sentenceTexts[language], d: d}
	if t.texts == nil {
		t.texts = sentenceTexts[settings.English]
	}
	form := "many"
	if d.Messages == 1 {
		form = "one"
	}
	from := d.HeaderFrom
	if from == "" {
		from = t.say("no domain")
	}
	out := t.say(form, "count", strconv.FormatInt(d.Messages, 10), "source", t.source(), "from", from, "auth", t.auth(), "action", t.action())
	for _, flag := range d.Flags {
		if text, ok := t.texts[flag]; ok {
			out += text
		}
	}
	return out
}

// sentence assembles a sentence.
type sentence struct {
	texts map[string]string
	d     *Detail
}

// say fills in a text; pairs are names and their values.
func (t *sentence) say(text string, pairs ...string) string {
	var list []string
	for i := 0; i+1 < len(pairs); i += 2 {
		list = append(list, "{"+pairs[i]+"}", pairs[i+1])
	}
	return strings.NewReplacer(list...).Replace(t.texts[text])
}

// source returns the address with its host and service.
func (t *sentence) source() string {
	var names []string
	if t.d.Host != "" {
		names = append(names, t.d.Host)
	}
	if t.d.Service != "" && t.d.Service != ServiceUnknown && !strings.EqualFold(t.d.Service, t.d.Host) {
		names = append(names, t.d.Service)
	}
	if len(names) == 0 {
		return t.d.IP
	}
	return t.say("source", "ip", t.d.IP, "names", strings.Join(names, t.say("comma")))
}

// auth states why messages are compliant, or why not.
func (t *sentence) auth() string {
	spf, dkim := t.d.SPF == report.DMARCPass, t.d.DKIM == report.DMARCPass
	spfDomain, spfPassed := t.spf()
	dkimDomain, dkimPassed := t.dkim()
	switch {
	case spf && dkim && spfDomain != "" && dkimDomain != "":
		return t.say("both match", "spf", spfDomain, "dkim", dkimDomain)
	case spf && dkim:
		return t.say("both")
	case dkim && dkimDomain != "":
		return t.say("dkim matches", "dkim", dkimDomain)
	case dkim:
		return t.say("dkim only")
	case spf && spfDomain != "":
		return t.say("spf matches", "spf", spfDomain)
	case spf:
		return t.say("spf only")
	case dkimPassed && spfPassed && dkimDomain == spfDomain:
		return t.say("both elsewhere", "spf", spfDomain)
	case dkimPassed && spfPassed:
		return t.say("each elsewhere", "spf", spfDomain, "dkim", dkimDomain)
	case dkimPassed:
		return t.say("dkim elsewhere", "dkim", dkimDomain)
	case spfPassed && len(t.d.Auth.DKIM) == 0:
		return t.say("spf elsewhere, unsigned", "spf", spfDomain)
	case spfPassed:
		return t.say("spf elsewhere", "spf", spfDomain)
	case dkimDomain != "":
		return t.say("signature failed", "dkim", dkimDomain)
	case len(t.d.Auth.DKIM) == 0:
		return t.say("neither, unsigned")
	}
	return t.say("neither")
}

// spf returns the domain of SPF, and whether it passed.
func (t *sentence) spf() (domain string, passed bool) {
	for _, r := range t.d.Auth.SPF {
		if r.Result == report.ResultPass {
			return r.Domain, true
		}
	}
	return "", false
}

// dkim returns the domain of the most informative signature: one that passed, of the From
// domain if possible.
func (t *sentence) dkim() (domain string, passed bool) {
	best := -1
	for _, r := range t.d.Auth.DKIM {
		score := 0
		if r.Result == report.ResultPass {
			score += 2
		}
		if related(r.Domain, t.d.HeaderFrom) {
			score++
		}
		if score > best && r.Domain != "" {
			best, domain, passed = score, r.Domain, score >= 2
		}
	}
	return domain, passed
}

// related reports whether one name is the other, or below it.
func related(a, b string) bool {
	return a == b || strings.HasSuffix(a, "."+b) || strings.HasSuffix(b, "."+a)
}

// action states what the receiver did, and why.
func (t *sentence) action() string {
	them := ""
	if t.d.Messages == 1 {
		them = ", one"
	}
	word := t.d.Disposition
	switch word {
	case report.DispositionPass:
		word = report.DispositionNone
	case report.DispositionNone, report.DispositionQuarantine, report.DispositionReject:
	default:
		return t.say("not told", "reporter", t.reporter())
	}
	did := t.say(string(word)+them, "reporter", t.reporter())
	asked := string(t.d.Policy)
	switch {
	case len(t.d.Reasons) > 0:
		return did + t.say("because", "why", t.reason())
	case t.d.Compliant > 0 && word == report.DispositionNone:
		return did
	case asked == string(word):
		return did + t.say("as asked", "policy", asked)
	case asked != "":
		return did + t.say("not as asked", "policy", asked)
	}
	return did
}

// reporter returns the name of the reporter, which some omit.
func (t *sentence) reporter() string {
	if t.d.Reporter == "" {
		return t.say("no reporter")
	}
	return t.d.Reporter
}

// reason returns the first override reason, with its comment.
func (t *sentence) reason() string {
	word, comment, _ := strings.Cut(t.d.Reasons[0], ": ")
	text, ok := t.texts["reason "+word]
	if !ok {
		text = word
	}
	if comment == "" {
		return text
	}
	if len(comment) > maxReason {
		comment = strings.ToValidUTF8(comment[:maxReason], "") + "…"
	}
	return text + t.say("comment", "comment", comment)
}

// sentenceTexts are the texts of sentences, by language.
var sentenceTexts = map[settings.Language]map[string]string{
	settings.English: {
		"many":      "{count} messages from {source} said they were from {from}; {auth}; {action}.",
		"one":       "1 message from {source} said it was from {from}; {auth}; {action}.",
		"no domain": "no domain",
		"source":    "{ip} ({names})",
		"comma":     ", ",

		"no reporter": "the receiver",

		"both match":              "SPF passed for {spf} and DKIM for {dkim}, which match",
		"both":                    "SPF and DKIM passed for a domain that matches",
		"dkim matches":            "DKIM passed for {dkim}, which matches, and SPF did not",
		"dkim only":               "DKIM passed for a domain that matches, and SPF did not",
		"spf matches":             "SPF passed for {spf}, which matches, and DKIM did not",
		"spf only":                "SPF passed for a domain that matches, and DKIM did not",
		"both elsewhere":          "SPF and DKIM passed for {spf}, which does not match",
		"each elsewhere":          "SPF passed for {spf} and DKIM for {dkim}, which do not match",
		"dkim elsewhere":          "DKIM passed for {dkim}, which does not match, and SPF did not pass",
		"spf elsewhere":           "SPF passed for {spf}, which does not match, and DKIM did not pass",
		"spf elsewhere, unsigned": "SPF passed for {spf}, which does not match, and there was no DKIM signature",
		"signature failed":        "neither SPF nor the DKIM signature of {dkim} passed",
		"neither":                 "neither SPF nor DKIM passed",
		"neither, unsigned":       "SPF did not pass, and there was no DKIM signature",

		"none":            "{reporter} let them through",
		"none, one":       "{reporter} let it through",
		"quarantine":      "{reporter} put them to spam",
		"quarantine, one": "{reporter} put it to spam",
		"reject":          "{reporter} refused them",
		"reject, one":     "{reporter} refused it",
		"not told":        "{reporter} does not tell what it did",
		"as asked":        " because the policy is {policy}",
		"not as asked":    " although the policy is {policy}",
		"because":         " because {why}",
		"comment":         " (\"{comment}\")",

		"reason forwarded":         "it takes them for forwarded",
		"reason local_policy":      "of a policy of its own",
		"reason mailing_list":      "it takes them for mail of a mailing list",
		"reason other":             "of a reason of its own",
		"reason policy_test_mode":  "the policy is in test mode (t=y)",
		"reason sampled_out":       "pct left them out",
		"reason trusted_forwarder": "it trusts who forwarded them",

		"worked_out_spf":    " The report states no verdict on SPF; it was worked out.",
		"worked_out_dkim":   " The report states no verdict on DKIM; it was worked out.",
		"contradicted_spf":  " Its verdict on SPF contradicts its own results.",
		"contradicted_dkim": " Its verdict on DKIM contradicts its own results.",
		"foreign_from":      " The From domain is not below the policy domain.",
		"long_period":       " The report covers over 31 days.",
	},
	settings.Japanese: {
		"many":      "{source} からのメール {count} 通が {from} を差出人としていました。{auth}。{action}。",
		"one":       "{source} からのメール 1 通が {from} を差出人としていました。{auth}。{action}。",
		"no domain": "(ドメインなし)",
		"source":    "{ip}({names})",
		"comma":     "、",

		"no reporter": "受信側",

		"both match":              "SPF は {spf}、DKIM は {dkim} で成功し、どちらも差出人と一致します",
		"both":                    "SPF と DKIM は差出人と一致するドメインで成功しました",
		"dkim matches":            "DKIM は差出人と一致する {dkim} で成功し、SPF は成功しませんでした",
		"dkim only":               "DKIM は差出人と一致するドメインで成功し、SPF は成功しませんでした",
		"spf matches":             "SPF は差出人と一致する {spf} で成功し、DKIM は成功しませんでした",
		"spf only":                "SPF は差出人と一致するドメインで成功し、DKIM は成功しませんでした",
		"both elsewhere":          "SPF と DKIM は {spf} で成功しましたが、差出人と一致しません",
		"each elsewhere":          "SPF は {spf}、DKIM は {dkim} で成功しましたが、差出人と一致しません",
		"dkim elsewhere":          "DKIM は {dkim} で成功しましたが差出人と一致せず、SPF は成功しませんでした",
		"spf elsewhere":           "SPF は {spf} で成功しましたが差出人と一致せず、DKIM は成功しませんでした",
		"spf elsewhere, unsigned": "SPF は {spf} で成功しましたが差出人と一致せず、DKIM 署名はありませんでした",
		"signature failed":        "SPF も {dkim} の DKIM 署名も成功しませんでした",
		"neither":                 "SPF も DKIM も成功しませんでした",
		"neither, unsigned":       "SPF は成功せず、DKIM 署名はありませんでした",

		"none":            "{reporter} はそのまま受け取りました",
		"none, one":       "{reporter} はそのまま受け取りました",
		"quarantine":      "{reporter} は迷惑メールとしました",
		"quarantine, one": "{reporter} は迷惑メールとしました",
		"reject":          "{reporter} は受信を拒否しました",
		"reject, one":     "{reporter} は受信を拒否しました",
		"not told":        "{reporter} の処置は報告にありません",
		"as asked":        "(ポリシー {policy} のとおり)",
		"not as asked":    "(ポリシーは {policy} です)",
		"because":         "(理由: {why})",
		"comment":         "「{comment}」",

		"reason forwarded":         "転送されたメールと判断",
		"reason local_policy":      "受信側のポリシー",
		"reason mailing_list":      "メーリングリストのメールと判断",
		"reason other":             "その他の理由",
		"reason policy_test_mode":  "ポリシーがテストモード(t=y)",
		"reason sampled_out":       "pct により対象外",
		"reason trusted_forwarder": "信頼する転送元",

		"worked_out_spf":    "SPF の判定は報告になく、結果から求めました。",
		"worked_out_dkim":   "DKIM の判定は報告になく、結果から求めました。",
		"contradicted_spf":  "SPF の判定は報告自身の結果と矛盾しています。",
		"contradicted_dkim": "DKIM の判定は報告自身の結果と矛盾しています。",
		"foreign_from":      "差出人のドメインはポリシーのドメインの下にありません。",
		"long_period":       "この報告は 31 日を超える期間のものです。",
	},
}

package opendmarc

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"dmarcd/internal/milter"
	"dmarcd/internal/settings"
)

// takeKey takes the value of one key, and says what became of it.
type takeKey func(value string) string

// keys are the keys of OpenDMARC in lower case.
func (im *importer) keys() map[string]takeKey {
	keys := withoutCounterpart()
	maps.Copy(keys, im.policyKeys())
	maps.Copy(keys, im.daemonKeys())
	return keys
}

// policyKeys are those whose counterpart stands in policy.yaml.
func (im *importer) policyKeys() map[string]takeKey {
	return map[string]takeKey{
		"rejectfailures": flag(func(on bool) string {
			im.reject = on
			if on {
				return "taken: mode: enforce, actions.reject: reject; without HoldQuarantinedMessages, actions.quarantine: bypass"
			}
			return "taken: mode: monitor; with HoldQuarantinedMessages, mode: enforce and actions.reject: bypass"
		}),
		"holdquarantinedmessages": flag(func(on bool) string {
			im.hold = on
			if on {
				return "taken: mode: enforce, actions.quarantine: quarantine, quarantine.method: hold"
			}
			return "taken: actions.quarantine: bypass, or mode: monitor"
		}),
		"requiredheaders":      flag(im.refuse),
		"requiredfrom":         flag(im.refuse),
		"rejectmultivaluefrom": flag(im.refuse),
		"rejectstring": func(v string) string {
			text := strings.ReplaceAll(v, "%s", "{domain}")
			if !policyTakes("reject_text: " + strconv.Quote(text)) {
				return "not taken: dmarc.reject_text begins with a status such as 5.7.1 and has its own variables"
			}
			im.rejectText = text
			return "taken: dmarc.reject_text"
		},
		"copyfailuresto": func(v string) string {
			if !isMailbox(v) {
				return "not taken: not a mail address"
			}
			im.notify = append(im.notify, v)
			return "taken: dmarc.notify, which tells the address of the failure; a copy of the mail is not sent"
		},
		"domainwhitelist": func(v string) string {
			var wrong []string
			for _, w := range commaList(v) {
				if one, _, err := settings.ParseList(settings.ListSenders, "", []byte(w)); err != nil || len(one) != 1 {
					wrong = append(wrong, clip(w))
				} else {
					im.sealers = append(im.sealers, one[0])
				}
			}
			if len(wrong) > 0 {
				return "taken: dmarc.arc.trusted_sealers, except for " + strings.Join(wrong, ", ") + ": not a domain"
			}
			return "taken: dmarc.arc.trusted_sealers"
		},
		"domainwhitelistfile": means(`not taken: name the file in policy.yaml: dmarc: {arc: {enabled: true, trusted_sealers: ["file:NAME"]}}`),
		"ignorehosts": func(v string) string {
			im.hostsNamed = v
			return "taken: dmarc.exceptions, as follows; hosts that hand in your own outgoing mail belong in trusted_networks of dmarcd.yaml"
		},
	}
}

func (im *importer) refuse(on bool) string {
	if !on {
		return "not taken: mail with several author domains, or without a readable From, fails all the same; dmarc.multiple_from says what becomes of it"
	}
	im.refuseFrom = true
	return "taken: dmarc.multiple_from: reject, the default, for a From that is missing, cannot be read or has several domains; the MTA checks the other fields"
}

// policyTakes reports whether the key is sound below dmarc.
func policyTakes(line string) bool {
	_, _, err := settings.ParsePolicy("", "", []byte("default: {dmarc: {"+line+"}}\n"))
	return err == nil
}

func isMailbox(s string) bool { return policyTakes("notify: [" + strconv.Quote(s) + "]") }

// daemonKeys are those whose counterpart stands in dmarcd.yaml.
func (im *importer) daemonKeys() map[string]takeKey {
	return map[string]takeKey{
		"authservid": func(v string) string {
			if isHostname(v) {
				return "taken: the name of the host is the default of authserv_id"
			}
			im.authServID = v
			return "belongs in dmarcd.yaml: authserv_id"
		},
		"trustedauthservids": func(v string) string {
			im.removeIDs = commaList(v)
			return "no counterpart: no result in a header is believed; names of your own hosts belong in dmarcd.yaml: remove_authserv_ids"
		},
		"socket": im.socket,
		"umask":  means("no counterpart: a unix socket has mode 0660, or what listen of dmarcd.yaml says"),
		"milterdebug": func(v string) string {
			n, err := strconv.Atoi(v)
			if err != nil {
				return "not taken: not a number"
			}
			im.level = string(settings.LevelInfo)
			if n > 0 {
				im.level = string(settings.LevelDebug)
			}
			return "belongs in dmarcd.yaml: log.level"
		},
		"ignoreauthenticatedclients": flag(func(on bool) string {
			im.login = strconv.FormatBool(on)
			return "belongs in dmarcd.yaml: skip_authenticated"
		}),
		"dnstimeout": func(v string) string {
			n, err := strconv.Atoi(v)
			if err != nil || n < 1 || n > int(time.Minute/time.Second) {
				return "not taken: resolver.timeout of dmarcd.yaml is for one try, from 10ms to 1m"
			}
			const budget = 10 // seconds, the default of resolver.budget
			im.timeout = fmt.Sprintf("%ds", min(n, budget))
			return "belongs in dmarcd.yaml: resolver.timeout for one try, at most resolver.budget"
		},
		"failurereports":  flag(im.failures),
		"forensicreports": flag(im.failures),
		"failurereportssentby": func(v string) string {
			if !isMailbox(v) {
				return "not taken: not a mail address"
			}
			im.reportEmail = v
			return "belongs in dmarcd.yaml: reports.email"
		},
	}
}

func (im *importer) failures(on bool) string {
	im.failureReports = on
	return "belongs in dmarcd.yaml: reports.failure"
}

// socket takes an address in the spelling of libmilter, where a path alone is a
// unix socket too.
func (im *importer) socket(v string) string {
	if strings.HasPrefix(v, "/") {
		v = "unix:" + v
	}
	if _, err := milter.ParseAddress(v); err != nil {
		return fmt.Sprintf("not taken: %v", err)
	}
	im.listen = v
	return "belongs in dmarcd.yaml: listen"
}

// withoutCounterpart are the keys that nothing is made of.
func withoutCounterpart() map[string]takeKey {
	keys := map[string]takeKey{}
	for reason, names := range map[string]string{
		"SPF is always checked here, and no SPF field is believed":                        "spfignoreresults spfselfvalidate",
		"every message is remembered in the store of dmarcd.yaml; there is no file of it": "historyfile recordallmessages",
		"a unit of systemd does that": "autorestart autorestartcount autorestartrate background basedirectory " +
			"changerootdirectory enablecoredumps pidfile userid",
		"the log goes to standard error, which the journal takes; see log of dmarcd.yaml": "syslog syslogfacility",
		"failure reports go only where the domain asks (RFC 9991)": "failurereportsbcc failurereportsonnone " +
			"forensicreportsonnone forensicreportsbcc",
		"reports go through the mail server that reports.smtp of dmarcd.yaml names":                "reportcommand",
		"a forger would write an ignored From; dmarc.senders lists whom to verify":                 "ignoremailfrom",
		"write an entry with dmarc: {enabled: false} for such a domain":                            "ignoremailto",
		"list such domains in reports.exclude of dmarcd.yaml":                                      "noreportslist",
		"the list is built in, and discovery of dmarcd.yaml says whether it is used":               "publicsuffixlist",
		"the log line has the queue id":                                                            "authservidwithjobid",
		"there are no temporary files":                                                             "temporarydirectory",
		"there is no such field":                                                                   "softwareheader",
		"tests of policy.yaml names the verdicts to expect, and \"dmarcd policy test\" tries them": "testdnsdata",
		"a list in a file has no size to give":                                                     "domainwhitelistsize",
	} {
		for name := range strings.FieldsSeq(names) {
			keys[name] = means("no counterpart: " + reason)
		}
	}
	return keys
}

func means(text string) takeKey { return func(string) string { return text } }

// flag takes a yes or no, of which OpenDMARC reads the first letter.
func flag(take func(on bool) string) takeKey {
	return func(v string) string {
		switch v[:1] {
		case "y", "Y", "t", "T", "1":
			return take(true)
		case "n", "N", "f", "F", "0":
			return take(false)
		}
		return "not taken: expected yes or no"
	}
}

package main

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"dmarcd/internal/api"
	"dmarcd/internal/dns/dnstest"
	"dmarcd/internal/milter/miltertest"
	"dmarcd/internal/present"
)

// keysOf adds the JSON keys of a type and of all below it.
func keysOf(t reflect.Type, keys map[string]bool, seen map[reflect.Type]bool) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array, reflect.Map:
		keysOf(t.Elem(), keys, seen)
		return
	case reflect.Struct:
	default:
		return
	}
	if seen[t] || t.PkgPath() == "time" || t.PkgPath() == "net/netip" {
		return
	}
	seen[t] = true
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name != "" && name != "-" {
			keys[name] = true
		}
		if f.IsExported() && name != "-" {
			keysOf(f.Type, keys, seen)
		}
	}
}

// TestOneVocabulary holds what we print as JSON to one name for each fact.
func TestOneVocabulary(t *testing.T) {
	page, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]bool{}
	for _, w := range regexp.MustCompile("`[a-z_.]+`").FindAllString(string(page), -1) {
		w = strings.Trim(w, "`")
		documented[w[strings.LastIndexByte(w, '.')+1:]] = true
	}
	messages := map[string]bool{}
	for _, v := range []any{present.CheckReport{}, present.ExplanationReport{}} {
		keysOf(reflect.TypeOf(v), messages, map[reflect.Type]bool{})
	}
	for key := range messages {
		if !documented[key] {
			t.Errorf("docs/json.md does not have %q", key)
		}
	}

	log, err := os.ReadFile("../../docs/log.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)`").FindAllStringSubmatch(string(log), -1) {
		// What only a line of the log has: what kind of line it is, and how long it took.
		if key := m[1]; !messages[key] && !slices.Contains([]string{"msg", "test", "ms", "spf_error", "dropped", "forged_kept"}, key) {
			t.Errorf("the log says %q; explain has no such key", key)
		}
	}

	all := maps.Clone(messages)
	keysOf(reflect.TypeOf(present.PingReport{}), all, map[reflect.Type]bool{})
	for _, op := range api.Table() {
		keysOf(op.Info().Out, all, map[reflect.Type]bool{})
	}
	for old, instead := range map[string]string{
		"add": "added", "remove": "removed", "change": "changed", "decision": "action", "aligned": "alignment", "client_ip": "client",
		"sender": "mail_from", "recipient_domains": "rcpt", "left": "bypassed", "left_alone": "bypassed", "settled": "mixed_recipients",
	} {
		if all[old] {
			t.Errorf("%q is called %q", old, instead)
		}
	}
}

// TestCheckSaysWhatExplainSays judges one message by command and by daemon.
func TestCheckSaysWhatExplainSays(t *testing.T) {
	zone := dnstest.New(t, readmeZone)
	dir := t.TempDir()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	config, message := filepath.Join(dir, "dmarcd.yaml"), filepath.Join(dir, "spoof.eml")
	write(t, config, "authserv_id: mx.example.org\nlisten: [\"inet:"+port+"@127.0.0.1\"]\nhttp: {listen: \"\"}\nresolver: {servers: [\""+zone.Addr+"\"]}\n"+
		"state_dir: "+dir+"\nlog: {addresses: true}\n")
	write(t, filepath.Join(dir, "policy.yaml"), "default: {dmarc: {actions: {reject: quarantine}}}\n")
	const raw = "From: Support <support@example.com>\r\nSubject: your account\r\nMessage-ID: <1@example.com>\r\nAuthentication-Results: mx.example.org; dmarc=pass\r\n\r\nPlease log in.\r\n"
	write(t, message, raw)
	startDaemon(t, "serve", "-c", config)
	mta, err := miltertest.Open("tcp", "127.0.0.1:"+port, miltertest.Postfix())
	if err != nil {
		t.Fatal(err)
	}
	defer mta.Quit()
	if _, err := mta.Greet(miltertest.Peer{Addr: "192.0.2.10"}); err != nil {
		t.Fatal(err)
	}
	if _, err := mta.Send(&miltertest.Message{
		From: "<support@example.com>", Rcpts: []string{"<user@example.org>"}, Macros: map[byte][]string{miltertest.CmdEnd: {"i", "4A"}}, Raw: []byte(raw),
	}); err != nil {
		t.Fatal(err)
	}
	decoded := func(s string) (out map[string]any) {
		if err := json.Unmarshal([]byte(s), &out); err != nil {
			t.Fatalf("%v: %s", err, s)
		}
		return out
	}
	checked := decoded(output(t, exitNo, "check", "-c", config, "--json", "--ip", "192.0.2.10", "--from", "support@example.com", "--rcpt", "user@example.org", message))
	explained := decoded(output(t, exitFine, "explain", "-c", config, "--json", "4A"))
	for _, only := range []string{"headline", "offline", "tell_sender", "commands", "dns", "message"} {
		delete(checked, only)
		delete(explained, only)
	}
	// Only a message that the MTA holds has a queue ID to release it by.
	explained["hints"] = slices.DeleteFunc(explained["hints"].([]any), func(hint any) bool {
		return hint.(map[string]any)["command"] == "dmarcd held release 4A"
	})
	for _, m := range []map[string]any{checked, explained} { // check waits for the whole walk
		delete(m["dmarc"].(map[string]any), "walk")
		delete(m["dmarc"].(map[string]any), "org_domain")
	}
	if !reflect.DeepEqual(checked, explained) {
		t.Errorf("check says\n%v\nexplain\n%v", checked, explained)
	}
	if explained["action"] != "quarantine" || len(explained["removed"].([]any)) != 1 || len(explained["added"].([]any)) != 2 {
		t.Errorf("%v", explained)
	}
}

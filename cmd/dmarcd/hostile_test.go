package main

import (
	"bytes"
	"errors"
	"log/slog"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"dmarcd/internal/daemon"
	"dmarcd/internal/dns/dnstest"
	"dmarcd/internal/present"
	"dmarcd/internal/report/analysis"
	"dmarcd/internal/report/outgoing"
	"dmarcd/internal/settings"
	"dmarcd/internal/text"
)

// hostile holds what would steer a terminal, reorder or hide text, end a line, or is
// no text at all.
const hostile = "x\x1b[2J\u009b1m\x07\u202egnp.exe\u2066\u2069\u200f\u061c\u2028\r\nforged: line\x00\xff"

// unsafe is the first character of s that must not reach a terminal, and the first
// line that a text of others made.
func unsafe(s string) string {
	for _, r := range s {
		if !text.IsSafe(r) && r != '\n' && r != '\t' {
			return string(r)
		}
	}
	for line := range strings.Lines(s) {
		if strings.HasPrefix(line, "forged: line") {
			return line
		}
	}
	return ""
}

// fill puts the text into every string below v.
func fill(v reflect.Value, words string) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(words)
	case reflect.Slice:
		if v.Len() == 0 {
			v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		}
		for i := range v.Len() {
			fill(v.Index(i), words)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Field(i); f.CanSet() {
				fill(f, words)
			}
		}
	}
}

// TestHostileTextIsSafeWhereItLeaves prints what others wrote on each surface.
func TestHostileTextIsSafeWhereItLeaves(t *testing.T) {
	surfaces := map[string]string{}
	print := func(name string, write func(s present.Streams)) {
		var out, errs bytes.Buffer
		s := present.Streams{In: strings.NewReader(""), Out: &out, Err: &errs}.Safe()
		write(s)
		surfaces[name] = out.String() + errs.String()
	}
	var report outgoing.Report
	fill(reflect.ValueOf(&report).Elem(), hostile)
	print("report list", func(s present.Streams) { present.Report(s, &report) })
	print("report list --json", func(s present.Streams) { _ = present.WriteJSONLine(s, report) })
	var suppression outgoing.Suppression
	fill(reflect.ValueOf(&suppression).Elem(), hostile)
	print("report suppress", func(s present.Streams) { present.Suppression(s, &suppression) })
	var verification analysis.Verification
	fill(reflect.ValueOf(&verification).Elem(), hostile)
	print("record verify", func(s present.Streams) { present.Verification(s, &verification, true) })
	for _, format := range []settings.LogFormat{settings.FormatJSON, settings.FormatText} {
		print("log "+string(format), func(s present.Streams) {
			log := daemon.NewLog(s.Below().Err, settings.Log{Level: settings.LevelInfo, Format: format}, new(slog.LevelVar))
			log.Info("message", "helo", hostile, "error", errors.New(hostile))
		})
	}

	zone := dnstest.New(t, readmeZone)
	dir := t.TempDir()
	config, message := filepath.Join(dir, "dmarcd.yaml"), filepath.Join(dir, "hostile.eml")
	write(t, config, "authserv_id: mx.example.org\nresolver: {servers: [\""+zone.Addr+"\"]}\nstate_dir: "+dir+"\n")
	write(t, filepath.Join(dir, "policy.yaml"), "{}\n")
	line := strings.NewReplacer("\r\n", "", "\x00", "").Replace(hostile)
	write(t, message, "From: "+line+" <a@example.com>\r\nMessage-ID: <"+line+"@example.com>\r\nSubject: "+line+
		"\r\nDKIM-Signature: v=1; a=rsa-sha256; d=example.com; s="+line+"; h="+line+"; bh=AAAA; b=AAAA\r\nAuthentication-Results: mx.example.org; "+line+"\r\n\r\nx\r\n")
	for name, args := range map[string][]string{
		"check": {}, "check --json": {"--json"}, "check --lang ja": {"--lang", "ja"}, "check --relay": {"--relay", "192.0.2.1"}, "check --second-opinion": {"--second-opinion"},
	} {
		args = append([]string{"check", "-c", config, "--helo", hostile, "--rcpt", "user@example.org", message}, args...)
		var out, errs bytes.Buffer
		run(t.Context(), args, present.Streams{In: strings.NewReader(""), Out: &out, Err: &errs})
		surfaces[name] = out.String() + errs.String()
	}
	for name, args := range map[string][]string{
		"an unknown command": {hostile}, "an unknown flag": {"check", "--" + hostile}, "an id": {"explain", "-c", config, hostile}, "a domain": {"record", "lookup", "-c", config, hostile},
	} {
		var out, errs bytes.Buffer
		run(t.Context(), args, present.Streams{In: strings.NewReader(""), Out: &out, Err: &errs})
		surfaces[name] = out.String() + errs.String()
	}
	for name, printed := range surfaces {
		if bad := unsafe(printed); bad != "" || printed == "" {
			t.Errorf("%s prints %q:\n%s", name, bad, printed)
		}
	}
}

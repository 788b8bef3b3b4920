package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"dmarcd/internal/dns/dnstest"
	"dmarcd/internal/present"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"dmarcd": func() {
			os.Exit(run(context.Background(), os.Args[1:], present.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
		},
	})
}

// TestScripts drives the command as a shell would. Each script has a DNS server of
// its own, filled from its file "zone"; $DNS is its address, $PORT and $HTTP are
// free ports.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			zone, err := os.ReadFile(filepath.Join(env.WorkDir, "zone"))
			if err != nil && !os.IsNotExist(err) {
				return err
			}
			z, err := dnstest.ParseZone(string(zone))
			if err != nil {
				return err
			}
			server, err := dnstest.Start("127.0.0.1:0", z)
			if err != nil {
				return err
			}
			env.Defer(server.Close)
			env.Setenv("DNS", server.Addr)
			env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
			env.Setenv("RUNTIME_DIRECTORY", filepath.Join(env.WorkDir, "run"))
			for _, name := range []string{"PORT", "HTTP"} {
				port, err := freePort()
				if err != nil {
					return err
				}
				env.Setenv(name, port)
			}
			return nil
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"expand":   expandFile,
			"get":      get,
			"exitcode": exitCode,
			"lines":    countLines,
			"waitfor":  waitFor,
		},
	})
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// expandFile puts the variables of the environment into files.
func expandFile(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		text := os.Expand(ts.ReadFile(name), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte(text), 0o600))
	}
}

// exitCode runs a command and compares its exit code: exitcode N COMMAND ARG….
func exitCode(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	got := "0"
	if err != nil {
		got = strings.TrimPrefix(err.Error(), "exit status ")
	}
	if got != args[0] {
		ts.Fatalf("exit code %s (%v), want %s", got, err, args[0])
	}
}

// countLines compares the number of lines of the last command's stdout or stderr.
func countLines(ts *testscript.TestScript, _ bool, args []string) {
	text := ts.ReadFile(args[0])
	if got := fmt.Sprint(strings.Count(text, "\n")); got != args[1] {
		ts.Fatalf("%s has %s lines, want %s:\n%s", args[0], got, args[1], text)
	}
}

// get fetches a page into stdout, waiting for the server to come up.
func get(ts *testscript.TestScript, _ bool, args []string) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		res, err := http.Get(args[0])
		if err == nil {
			defer res.Body.Close()
			_, err = io.Copy(ts.Stdout(), res.Body)
			ts.Check(err)
			return
		}
		select {
		case <-ctx.Done():
			ts.Fatalf("%v", err)
		case <-again.C:
		}
	}
}

// waitFor runs a command until its output has a line that matches: waitfor PATTERN COMMAND ARG….
func waitFor(ts *testscript.TestScript, _ bool, args []string) {
	pattern, err := regexp.Compile("(?m)^" + args[0])
	ts.Check(err)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		err := ts.Exec(args[1], args[2:]...)
		if text := ts.ReadFile("stdout"); err == nil && pattern.MatchString(text) {
			return
		}
		select {
		case <-ctx.Done():
			ts.Fatalf("%q does not come up: %v", args[0], err)
		case <-again.C:
		}
	}
}

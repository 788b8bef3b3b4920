// Command demo makes a folder with a made-up quarter of a year in it (package
// internal/demo) and runs dmarcd on it, beside a DNS server that knows the made-up
// names and nothing else. It is for looking at dmarcd and for developing it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"dmarcd/internal/daemon"
	"dmarcd/internal/demo"
	"dmarcd/internal/demo/fill"
	"dmarcd/internal/memory"
	"dmarcd/internal/store"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// run fills the folder, unless it was filled before, and runs the program named.
func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	seed := flags.Uint64("seed", 1, "another seed makes another quarter")
	program := flags.String("run", "", "the dmarcd to run on it; none: only fill")
	listen := flags.String("http", "127.0.0.1:8894", "where dmarcd serves its pages")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 1 {
		return errors.New("name one folder, which may be new")
	}
	dir, err := filepath.Abs(flags.Arg(0))
	if err != nil {
		return err
	}
	w := demo.New(*seed, memory.DayOf(time.Now())-1)
	names, err := serveNames(w.Names(demo.Days))
	if err != nil {
		return err
	}
	defer names.close()
	config := filepath.Join(dir, "dmarcd.yaml")
	if err := writeConfig(dir, config, *listen, names.addr); err != nil {
		return err
	}
	if err := fillOnce(ctx, dir, config, w, out); err != nil {
		return err
	}
	if *program == "" {
		return nil
	}
	fmt.Fprintf(out, "dmarcd serves http://%s; for commands: dmarcd -c %s …; Ctrl-C ends it\n", *listen, config)
	c := exec.CommandContext(ctx, *program, "serve", "-c", config)
	c.Stdout, c.Stderr = out, os.Stderr
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	if err := c.Run(); err != nil && ctx.Err() == nil {
		return fmt.Errorf("%s: %w", *program, err)
	}
	return nil
}

// writeConfig writes both files. The DNS server has another port each time.
func writeConfig(dir, config, listen, names string) error {
	if err := os.MkdirAll(filepath.Join(dir, "state"), 0o700); err != nil {
		return err
	}
	daemonFile := fmt.Sprintf(`# Made by "make demo".
authserv_id: mx.reports.example
listen: ["unix:%s"]
state_dir: %q
http: {listen: %q}
resolver: {servers: [%q]}
analysis: {domains: [%s, %s, %s], addresses: [%s]}
reports: {enabled: false}
`, filepath.Join(dir, "milter.sock"), filepath.Join(dir, "state"), listen, names, demo.Acme, demo.Globex, demo.Initech, demo.ReportAddress)
	if err := os.WriteFile(config, []byte(daemonFile), 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "policy.yaml"), []byte("# Made by \"make demo\": the built-in policy.\ndefault: {}\n"), 0o600)
}

// fillOnce fills the store, if that was not done before.
func fillOnce(ctx context.Context, dir, config string, w *demo.World, out io.Writer) error {
	mark := filepath.Join(dir, "filled")
	if _, err := os.Stat(mark); err == nil {
		fmt.Fprintf(out, "%s was filled before; remove it to have it filled anew\n", dir)
		return nil
	}
	s, _, err := daemon.FindSource(config).Load()
	if err != nil {
		return err
	}
	db, err := store.Open(ctx, daemon.StoreConfig(s))
	if err != nil {
		return err
	}
	began := time.Now()
	done, err := fill.Fill(ctx, db, w, s, began)
	if err := errors.Join(err, db.Close()); err != nil {
		return err
	}
	fmt.Fprintf(out, "%d reports and %d messages of %d days, in %v\n", done.Reports, done.Messages, demo.Days, time.Since(began).Round(time.Second/10))
	return os.WriteFile(mark, nil, 0o600)
}

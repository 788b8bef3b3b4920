// Command dmarcd is an inbound DMARC filter: a milter daemon beside Postfix or
// Sendmail, and the tools that go with it.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}

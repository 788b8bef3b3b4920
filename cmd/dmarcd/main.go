// Command dmarcd is an inbound DMARC filter: a milter daemon beside Postfix or
// Sendmail, and the tools that go with it.
package main

import (
	"context"
	"os"

	"dmarcd/internal/present"
)

func main() {
	os.Exit(run(context.Background(), os.Args[1:], present.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}

package mta

import (
	"context"
	"fmt"
	"strings"

	"dmarcd/internal/api"
	"dmarcd/internal/errkind"
	"dmarcd/internal/present"
	"dmarcd/internal/text"
)

// Work releases or deletes held mail, or shows how.
type Work struct {
	Does          string // release or delete
	Print, AsJSON bool
}

// Run does it with all that the request finds.
func (o Work) Run(ctx context.Context, c api.Asker, request api.HeldRequest, s present.Streams) error {
	failed := 0
	for {
		page, err := api.HeldList().Ask(ctx, c, request)
		if err != nil {
			return err
		}
		for i := range page.Messages {
			if err := o.do(ctx, c, &page.Messages[i], s); err != nil {
				failed++
				fmt.Fprintf(s.Err, "%s: %s\n", page.Messages[i].QueueID, err)
			}
		}
		switch {
		case failed > 0:
			return errkind.Errorf(errkind.Trouble, "%s", text.Count(int64(failed), "command")+" failed")
		case len(page.Unknown) > 0:
			return errkind.Errorf(errkind.NotFound, "not held here: %s", strings.Join(page.Unknown, ", "))
		case page.After == "":
			return nil
		}
		request.After = page.After
	}
}

// do releases or deletes one message, or shows how.
func (o Work) do(ctx context.Context, c api.Asker, m *api.HeldMessage, s present.Streams) error {
	command, err := commandFor(m, o.Does)
	if err != nil {
		return err
	}
	if !o.Print {
		if err := runCommand(ctx, command, s.Err); err != nil {
			return err
		}
		if _, err := api.HeldDone().Ask(ctx, c, api.HeldDoneRequest{Keys: []string{m.Key}}); err != nil {
			return err
		}
	}
	if o.AsJSON {
		return present.WriteJSONLine(s, present.HeldDone{QueueID: m.QueueID, Command: command, Done: !o.Print})
	}
	s.Line("%s", command)
	return nil
}

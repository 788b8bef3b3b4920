package errkind_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"dmarcd/internal/errkind"
)

func TestOf(t *testing.T) {
	missing := errkind.New(errkind.NotFound, "store: no such report")
	for _, c := range []struct {
		name string
		err  error
		want errkind.Kind
		text string
	}{
		{"without a kind", io.ErrUnexpectedEOF, errkind.Trouble, "unexpected EOF"},
		{"a variable, wrapped", fmt.Errorf("report 9: %w", missing), errkind.NotFound, "report 9: store: no such report"},
		{"the outermost counts", errkind.Wrap(errkind.WrongUse, missing), errkind.WrongUse, "store: no such report"},
		{"formatted", errkind.Errorf(errkind.BadRequest, "%q: %w", "x", io.EOF), errkind.BadRequest, `"x": EOF`},
		{"joined", errors.Join(io.EOF, missing), errkind.NotFound, "EOF\nstore: no such report"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := errkind.Of(c.err); got != c.want || c.err.Error() != c.text {
				t.Errorf("kind %q, text %q", got, c.err)
			}
		})
	}
	if errkind.Wrap(errkind.Trouble, nil) != nil {
		t.Error("no error became one")
	}
	if !errors.Is(errkind.Wrap(errkind.Trouble, missing), missing) {
		t.Error("the cause is lost")
	}
}

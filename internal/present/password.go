package present

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"dmarcd/internal/errkind"
)

// NewPassword reads a password: twice, without echo, from a terminal, otherwise once.
func NewPassword(s Streams) (string, error) {
	file, isFile := s.In.(*os.File)
	if isFile {
		if _, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS); err == nil {
			return typedPassword(file, s)
		}
	}
	line, err := bufio.NewReader(io.LimitReader(s.In, 4<<10)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", errkind.Wrap(errkind.Trouble, fmt.Errorf("the password cannot be read: %w", err))
	}
	if line = strings.TrimRight(line, "\r\n"); line == "" {
		return "", errkind.Wrap(errkind.WrongUse, errors.New("there is no password on standard input; give it there, as one line"))
	}
	return line, nil
}

// typedPassword prompts on a terminal.
func typedPassword(terminal *os.File, s Streams) (string, error) {
	fd := int(terminal.Fd())
	shown, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return "", errkind.Wrap(errkind.Trouble, err)
	}
	hidden := *shown
	hidden.Lflag &^= unix.ECHO
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &hidden); err != nil {
		return "", errkind.Wrap(errkind.Trouble, err)
	}
	defer unix.IoctlSetTermios(fd, unix.TCSETS, shown) //nolint:errcheck // nothing more can be done
	in := bufio.NewReader(terminal)
	var typed [2]string
	for i, ask := range []string{"Password: ", "Once more: "} {
		fmt.Fprint(s.Err, ask)
		line, err := in.ReadString('\n')
		fmt.Fprintln(s.Err)
		if err != nil {
			return "", errkind.Wrap(errkind.Trouble, fmt.Errorf("the password cannot be read: %w", err))
		}
		typed[i] = strings.TrimRight(line, "\r\n")
	}
	if typed[0] != typed[1] {
		return "", errkind.Wrap(errkind.WrongUse, errors.New("the two passwords differ; nothing was changed"))
	}
	return typed[0], nil
}

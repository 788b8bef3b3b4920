package milter

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// errEdit means that a Response contains something that cannot be sent: a bug of the
// Session. A Response is never carried out in part.
var errEdit = errors.New("milter: an edit that cannot be sent")

// appendResponse appends the whole answer at end of message. The caller must have
// replaced an invalid Reply.
func (t terms) appendResponse(out []byte, o Response) ([]byte, error) {
	switch {
	case !o.Reply.IsZero():
		return appendReply(out, o.Reply), nil
	case o.Discard:
		return appendByteReply(out, respDiscard), nil
	}
	var err error
	for _, e := range o.Edits {
		if out, err = t.appendEdit(out, e); err != nil {
			return out, err
		}
	}
	if o.Quarantine != "" {
		var start int
		out, start = beginPacket(out, respQuarantine)
		out = append(appendLine(out, o.Quarantine), 0)
		if out, err = endEdit(out, start, EditKind(0)); err != nil {
			return out, err
		}
	}
	return appendByteReply(out, respAccept), nil
}

func (t terms) appendEdit(out []byte, e Edit) ([]byte, error) {
	code, indexed := byte(0), false
	switch e.Kind {
	case AddRcpt, DeleteRcpt:
		return appendRcptEdit(out, e)
	case AddHeader:
		code = respAddHeader
	case InsertHeader:
		code, indexed = respInsertHeader, true
	case ChangeHeader, DeleteHeader:
		code, indexed = respChangeHeader, true
		if e.Index < 1 {
			return out, fmt.Errorf("%w: index %d of %.64q", errEdit, e.Index, e.Name)
		}
	default:
		return out, fmt.Errorf("%w: kind %d", errEdit, e.Kind)
	}
	if !validName(e.Name) {
		return out, fmt.Errorf("%w: header name %.64q", errEdit, e.Name)
	}
	out, start := beginPacket(out, code)
	if indexed {
		index := e.Index
		if e.Kind == InsertHeader {
			index = 0 // the top: Sendmail counts from 0, and to Postfix 0 and 1 are the same
		}
		out = binary.BigEndian.AppendUint32(out, uint32(index))
	}
	out = append(append(out, e.Name...), 0)
	if e.Kind != DeleteHeader {
		out = t.appendEditValue(out, e.Value)
	}
	return endEdit(append(out, 0), start, e.Kind)
}

func appendRcptEdit(out []byte, e Edit) ([]byte, error) {
	code := byte(respAddRcpt)
	if e.Kind == DeleteRcpt {
		code = respDeleteRcpt
	}
	if e.Name == "" || strings.ContainsAny(e.Name, "\x00\r\n") {
		return out, fmt.Errorf("%w: recipient %.64q", errEdit, e.Name)
	}
	out, start := beginPacket(out, code)
	return endEdit(append(append(out, e.Name...), 0), start, e.Kind)
}

func endEdit(out []byte, start int, kind EditKind) ([]byte, error) {
	if n := len(out) - start - 4; n > maxReply {
		return out, fmt.Errorf("%w: kind %d of %d bytes", errEdit, kind, n)
	}
	return endPacket(out, start), nil
}

// appendEditValue appends a value for the MTA to write into the message, its
// folds as a bare LF, which both MTAs turn into their line end. An MTA that does
// not keep leading space writes one itself. No value can end the field or empty it:
// an empty one would delete the field.
func (t terms) appendEditValue(out []byte, v string) []byte {
	if t.steps&leadSpace == 0 {
		v = strings.TrimPrefix(v, " ")
	}
	v = strings.TrimRight(v, "\r\n")
	start := len(out)
	for i := 0; i < len(v); i++ {
		switch c := v[i]; c {
		case 0:
			out = append(out, '?')
		case '\r':
		case '\n':
			out = append(out, '\n')
			if v[i+1] != ' ' && v[i+1] != '\t' {
				out = append(out, ' ')
			}
		default:
			out = append(out, c)
		}
	}
	if len(out) == start {
		out = append(out, ' ')
	}
	return out
}

// appendLine appends s with control characters replaced.
func appendLine(out []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c < ' ' || c > '~' {
			c = '?'
		}
		out = append(out, c)
	}
	return out
}

// validName reports whether s is a field name (RFC 5322 section 2.2).
func validName(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] <= ' ' || s[i] > '~' || s[i] == ':' {
			return false
		}
	}
	return s != ""
}

package api

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"

	"dmarcd/internal/errkind"
)

// Scope is how an operation ensures that a viewer limited to domains learns nothing of others.
// There is no default.
type Scope string

// Scopes.
const (
	// ScopeDomains: the operation answers only about the viewer's domains.
	ScopeDomains Scope = "domains"
	// ScopeHost: the answer is about the whole host; a limited viewer is refused.
	ScopeHost Scope = "host"
	// ScopeNone: the answer reveals nothing about any domain.
	ScopeNone Scope = "none"
)

// Octets of a request.
const (
	MaxRequest = 4 << 20
	MaxLarge   = 48 << 20 // of an operation that is Large: a mail of analysis.limits, in base64
)

// Info describes an operation.
type Info struct {
	Name    string // such as "messages.explain": what it is about, and the verb
	Summary string // one sentence, for people
	Role    Role   // the least that may ask
	Scope   Scope
	Changes bool         // it changes something: not for GET, and for the audit log
	Own     bool         // it is about the viewer's own account: who has none is told so
	Streams bool         // the answer is any number of values of Out
	Large   bool         // a request may be of up to MaxLarge octets
	In, Out reflect.Type // of request and answer, as JSON
	Example any          // a request, of type In
}

// Operation is an Op or a Stream in the table.
type Operation interface {
	Info() Info
	// do runs the operation after the viewer was admitted. In and out point to In and Out; a stream
	// passes each value to item instead.
	do(ctx context.Context, s *Service, v Viewer, in, out any, item func(any) error) error
}

// Op is an operation with one answer.
type Op[In, Out any] struct {
	Name    string
	Summary string
	Role    Role
	Scope   Scope
	Changes bool
	Own     bool
	Large   bool
	Example In
	Do      func(ctx context.Context, s *Service, v Viewer, in In) (Out, error)
}

// Info implements Operation.
func (o Op[In, Out]) Info() Info {
	return Info{
		Name: o.Name, Summary: o.Summary, Role: o.Role, Scope: o.Scope, Changes: o.Changes, Own: o.Own, Large: o.Large,
		In: reflect.TypeFor[In](), Out: reflect.TypeFor[Out](), Example: o.Example,
	}
}

func (o Op[In, Out]) do(ctx context.Context, s *Service, v Viewer, in, out any, _ func(any) error) error {
	got, err := o.Do(ctx, s, v, *in.(*In))
	if err == nil {
		*out.(*Out) = got
	}
	return err
}

// Ask runs the operation through a.
func (o Op[In, Out]) Ask(ctx context.Context, a Asker, in In) (Out, error) {
	var out Out
	err := a.Ask(ctx, o.Name, &in, &out)
	return out, err
}

// Stream is an operation whose answer is any number of values. Do ends with the first error of
// yield, and returns it. A value is valid only until yield returns.
type Stream[In, Item any] struct {
	Name    string
	Summary string
	Role    Role
	Scope   Scope
	Large   bool
	Example In
	Do      func(ctx context.Context, s *Service, v Viewer, in In, yield func(*Item) error) error
}

// Info implements Operation.
func (o Stream[In, Item]) Info() Info {
	return Info{
		Name: o.Name, Summary: o.Summary, Role: o.Role, Scope: o.Scope, Large: o.Large, Streams: true,
		In: reflect.TypeFor[In](), Out: reflect.TypeFor[Item](), Example: o.Example,
	}
}

func (o Stream[In, Item]) do(ctx context.Context, s *Service, v Viewer, in, _ any, item func(any) error) error {
	return o.Do(ctx, s, v, *in.(*In), func(i *Item) error { return item(i) })
}

// Each runs the operation through a and passes on each value of its answer.
func (o Stream[In, Item]) Each(ctx context.Context, a Asker, in In, yield func(*Item) error) error {
	return a.Each(ctx, o.Name, &in, func() any { return new(Item) }, func(i any) error { return yield(i.(*Item)) })
}

// Asker runs operations, in this process or over a socket.
type Asker interface {
	// Ask runs the operation of that name; in and out point to its request and answer.
	Ask(ctx context.Context, name string, in, out any) error
	// Each runs the stream of that name: it passes yield pointers to values, each made by fresh or of
	// the same type.
	Each(ctx context.Context, name string, in any, fresh func() any, yield func(any) error) error
}

// Local asks a service of this process.
type Local struct {
	Service *Service
	Viewer  Viewer
}

var _ Asker = Local{}

// Ask implements Asker.
func (l Local) Ask(ctx context.Context, name string, in, out any) error {
	op, err := find(name, false)
	if err != nil {
		return err
	}
	return l.Service.run(ctx, op, l.Viewer, in, out, nil)
}

// Each implements Asker.
func (l Local) Each(ctx context.Context, name string, in any, _ func() any, yield func(any) error) error {
	op, err := find(name, true)
	if err != nil {
		return err
	}
	return l.Service.run(ctx, op, l.Viewer, in, nil, yield)
}

// find returns the operation of that name.
func find(name string, streams bool) (Operation, error) {
	for _, op := range Table() {
		if i := op.Info(); i.Name == name && i.Streams == streams {
			return op, nil
		}
	}
	return nil, errkind.Errorf(errkind.NotFound, "there is no operation %q", name)
}

// run is the only way to an operation: it refuses viewers without permission.
func (s *Service) run(ctx context.Context, op Operation, v Viewer, in, out any, item func(any) error) error {
	i := op.Info()
	if err := v.may(i); err != nil {
		return err
	}
	err := op.do(ctx, s, v, in, out, item)
	if i.Changes {
		s.audit(ctx, v, i.Name, in, err)
	}
	return err
}

// Answer runs the operation of that name for a request in JSON, and returns an answer that can be
// written as JSON. It rejects a request with an unknown field.
func (s *Service) Answer(ctx context.Context, v Viewer, name string, request json.RawMessage) (any, error) {
	op, err := find(name, false)
	if err != nil {
		return nil, err
	}
	in, err := decodeRequest(op, request)
	if err != nil {
		return nil, err
	}
	out := reflect.New(op.Info().Out)
	if err := s.run(ctx, op, v, in, out.Interface(), nil); err != nil {
		return nil, err
	}
	return out.Interface(), nil
}

// AnswerEach is Answer for a stream: item receives a pointer to each value, valid until it
// returns.
func (s *Service) AnswerEach(ctx context.Context, v Viewer, name string, request json.RawMessage, item func(any) error) error {
	op, err := find(name, true)
	if err != nil {
		return err
	}
	in, err := decodeRequest(op, request)
	if err != nil {
		return err
	}
	return s.run(ctx, op, v, in, nil, item)
}

// decodeRequest decodes the request of an operation.
func decodeRequest(op Operation, raw json.RawMessage) (any, error) {
	in := reflect.New(op.Info().In).Interface()
	if err := decodeStrictly(raw, in); err != nil {
		return nil, errkind.Wrap(errkind.BadRequest, fmt.Errorf("the request cannot be read: %w", err))
	}
	return in, nil
}

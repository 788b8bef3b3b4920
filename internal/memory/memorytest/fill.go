package memorytest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"time"

	"dmarcd/internal/auth/dkim"
	"dmarcd/internal/auth/dmarc"
	"dmarcd/internal/dns"
	"dmarcd/internal/memory"
)

// Filler fills values by reflection, so that a field that is new is filled too.
type Filler struct {
	n      int
	random *rand.Rand
}

// NewFiller makes a Filler. With seed 0 every field gets a value that is not zero, and
// true; with others booleans are random, so that mixed-up ones are detected.
func NewFiller(seed uint64) *Filler {
	f := &Filler{n: int(seed % 50)}
	if seed != 0 {
		f.random = rand.New(rand.NewPCG(seed, 3))
	}
	return f
}

// Record returns a record with every field set. Its error names a field that cannot be
// filled: one that is not exported, or of a new kind.
func (f *Filler) Record() (*memory.Record, error) {
	r := &memory.Record{}
	if err := f.Fill(r); err != nil {
		return nil, err
	}
	// What hangs together.
	r.At = r.At.Truncate(time.Microsecond)
	r.Chosen = 1
	d := &r.Verdict.DMARC
	d.Alignments = append([]dmarc.Alignment{r.Verdict.SPFAlignment}, r.Verdict.DKIMAlignments...)
	for i := range d.Walk {
		d.Walk[i].Text = d.Walk[i].Record.Text
	}
	return r, nil
}

// Fill sets every field below what p points to.
func (f *Filler) Fill(p any) error {
	return f.fill(reflect.TypeOf(p).Elem().Name(), reflect.ValueOf(p).Elem())
}

func (f *Filler) fill(path string, v reflect.Value) error {
	f.n++
	if f.known(v) {
		return nil
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(fmt.Sprintf("text-%d", f.n))
	case reflect.Bool:
		v.SetBool(f.random == nil || f.random.IntN(2) == 0)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(f.n))
	case reflect.Uint8:
		v.SetUint(uint64(1 + f.n%200))
	case reflect.Array:
		for i := range v.Len() {
			if err := f.fill(fmt.Sprintf("%s[%d]", path, i), v.Index(i)); err != nil {
				return err
			}
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			if err := f.fill(fmt.Sprintf("%s[%d]", path, i), v.Index(i)); err != nil {
				return err
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return f.fill(path, v.Elem())
	case reflect.Struct:
		return f.fields(path, v)
	default:
		return fmt.Errorf("%s is of the kind %s, which Filler does not know", path, v.Kind())
	}
	return nil
}

func (f *Filler) fields(path string, v reflect.Value) error {
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if !field.IsExported() {
			return fmt.Errorf("%s.%s is not exported: nothing can tell whether it is remembered", path, field.Name)
		}
		if err := f.fill(path+"."+field.Name, v.Field(i)); err != nil {
			return err
		}
	}
	return nil
}

// known fills types whose values are not made of their fields.
func (f *Filler) known(v reflect.Value) bool {
	switch p := v.Addr().Interface().(type) {
	case *time.Time:
		*p = time.Date(2026, 11, 25, 1, 2, f.n%60, f.n*1000, time.UTC)
	case *time.Duration:
		*p = time.Duration(f.n) * time.Microsecond
	case *netip.Addr:
		*p = netip.AddrFrom4([4]byte{192, 0, 2, byte(f.n)})
	case *dns.Name:
		*p = dns.MustParse(fmt.Sprintf("name-%d.example", f.n))
	case *error:
		*p = fmt.Errorf("fault %d: %w", f.n, errors.Join(dns.ErrTemporary, dkim.ErrKeyLookup))
	case **dmarc.Record:
		rec, err := dmarc.ParseRecord(fmt.Sprintf("v=DMARC1; p=reject; rua=mailto:d@name-%d.example", f.n))
		if err != nil {
			return false
		}
		*p = rec
	default:
		return false
	}
	return true
}

// Missing compares two records field by field and returns the fields that the second
// lacks or that differ, without their indexes, each once.
func Missing(want, got []string) []string {
	var out []string
	have := map[string]bool{}
	for _, line := range got {
		have[line] = true
	}
	for _, line := range want {
		if have[line] {
			continue
		}
		path, _, _ := strings.Cut(line, " = ")
		if path = withoutIndexes(path); len(out) == 0 || out[len(out)-1] != path {
			out = append(out, path)
		}
	}
	return out
}

func withoutIndexes(path string) string {
	var b strings.Builder
	for part := range strings.SplitSeq(path, "[") {
		if i := strings.IndexByte(part, ']'); i >= 0 {
			part = part[i+1:]
		}
		b.WriteString(part)
	}
	return b.String()
}

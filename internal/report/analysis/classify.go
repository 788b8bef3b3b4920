package analysis

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"

	"dmarcd/internal/dns"
)

// Known is a stored report with the same Key as an incoming one.
type Known struct {
	ID     int64
	Trust  Trust
	Auth   dns.Name // the organizational domain that authenticated it; zero for none
	Digest [32]byte
	Status Status // StatusStored or StatusEmpty; others do not occupy a key
}

// Key identifies a report: equal keys mean the same report. The e-mail address and the
// organization are as sent, the domain and id too. It begins with the day, so that an index
// keeps the keys of a day together.
func (r *Report) Key() [32]byte {
	key := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %q %d %d", r.Policy.Domain, r.Metadata.OrgName, r.Metadata.Email, r.Metadata.ReportID,
		r.Metadata.Begin.Unix(), r.Metadata.End.Unix()))
	binary.BigEndian.PutUint32(key[:4], uint32(r.Day()))
	return key
}

// Classify decides the status of a report when others with its key are stored. of is the one
// that decides it; 0 for none. With StatusReplaced the report is stored and replaces that
// one.
//
// A report that was authenticated for one organization and one authenticated for another are
// distinct: whoever learns a key cannot keep others' reports out.
func Classify(r *Report, known []Known) (status Status, of int64) {
	if r.Status != StatusStored && r.Status != StatusEmpty {
		return r.Status, 0
	}
	i := slices.IndexFunc(known, func(k Known) bool { return k.Auth == r.AuthDomain })
	if i < 0 {
		i = slices.IndexFunc(known, func(k Known) bool { return k.Auth.IsZero() || r.AuthDomain.IsZero() })
	}
	if i < 0 {
		return r.Status, 0
	}
	switch k := known[i]; {
	case r.Trust.rank() > k.Trust.rank():
		return StatusReplaced, k.ID
	case k.Digest == r.Digest:
		return StatusDuplicate, k.ID
	default:
		return StatusDiffers, k.ID
	}
}

// DigestRows returns the digest of records, regardless of their order.
func DigestRows(rows []Row) [32]byte {
	const most = 4096
	var sum [32]byte
	auths := map[*AuthSet][32]byte{}
	var b []byte
	for i := range rows {
		auth, known := auths[rows[i].Auth]
		if !known {
			text, err := json.Marshal(rows[i].Auth)
			if err != nil {
				continue // a struct of texts can always be encoded
			}
			auth = sha256.Sum256(text)
			if len(auths) >= most {
				clear(auths)
			}
			auths[rows[i].Auth] = auth
		}
		b = rows[i].appendTo(b[:0], auth)
		digest := sha256.Sum256(b)
		carry := 0
		for j := range sum { // unlike XOR, a sum does not cancel equal records
			carry += int(sum[j]) + int(digest[j])
			sum[j] = byte(carry)
			carry >>= 8
		}
	}
	return sum
}

// appendTo appends the content of a record, except its position, in a canonical form.
func (r *Row) appendTo(b []byte, auth [32]byte) []byte {
	source := r.Source.As16()
	b = append(append(b, auth[:]...), source[:]...)
	b = binary.AppendVarint(b, r.Count)
	b = binary.AppendUvarint(b, uint64(r.Flags))
	null := byte(0)
	if r.NullSender {
		null = 1
	}
	b = append(b, null)
	for _, s := range []string{string(r.Disposition), string(r.SPF), string(r.DKIM), r.HeaderFrom, r.EnvelopeFrom, r.EnvelopeTo} {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	return b
}

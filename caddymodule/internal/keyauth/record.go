package keyauth

// This file turns a record in Redis into what is held of a key.

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/keyauth/usage"
	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/redact"
	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/apikey"
	"github.com/tenzo-ai/tenzo-gateway/config/cache"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// digest is the SHA-256 of a key. Keys are known by nothing else.
type digest [sha256.Size]byte

// digest hashes the key. The copy keeps it on the stack.
func (c credential) digest() digest {
	var text [apikey.MaxLength]byte
	return sha256.Sum256(text[:copy(text[:], c.key)])
}

// entry is a key that was valid when it was read. Only used and touched ever change.
type entry struct {
	Record

	digest  digest
	counter *usage.Counter // of this key
	expires int64          // the first nanosecond of the wall clock at which the key is expired
	stamp   cache.Stamp    // of the read

	used    atomic.Bool  // whether the key was used from the cache since the read
	touched atomic.Int64 // when its use was last noted in the LRU, on the age clock
}

// parseRecord returns what the answer of Redis says about the key d. A revocation takes precedence
// over a damaged record, and a damaged record over an expiry, which is checked at each use. The
// error says that Redis gave no answer.
func (a *Auth) parseRecord(d digest, h store.Hash, stamp cache.Stamp) (lookupResult, error) {
	switch {
	case redis.HasErrorPrefix(h.Err, "WRONGTYPE"): // the record is of another type
		a.logBadRecord(nil, h.Err)
		return lookupResult{refusal: refuseBadRecord}, nil
	case h.Err != nil:
		return lookupResult{}, h.Err
	case len(h.Fields) == 0 && !h.Initialized: // Redis has lost its data, or never had any
		return lookupResult{}, errNoMarker
	case len(h.Fields) == 0:
		return lookupResult{refusal: refuseUnknown}, nil
	case h.Fields[store.KeyRevokedAt] != "":
		return lookupResult{refusal: refuseRevoked, subject: subjectOf(h.Fields)}, nil
	}
	key, err := apikey.FromHash(h.Fields)
	if err != nil {
		a.logBadRecord(h.Fields, err)
		return lookupResult{refusal: refuseBadRecord, subject: subjectOf(h.Fields)}, nil
	}
	e := &entry{
		Record:  Record{KeyID: key.ID, OrgID: key.OrgID, Name: key.Name},
		digest:  d,
		counter: a.usage.Counter(key.ID),
		expires: math.MaxInt64,
		stamp:   stamp,
	}
	if !key.ExpiresAt.IsZero() {
		e.expires = unixNano(key.ExpiresAt)
	}
	e.touched.Store(stamp.ReadAt.Age)
	return lookupResult{entry: e}, nil
}

// unixNano is t.UnixNano, limited to the times that fit.
func unixNano(t time.Time) int64 {
	switch {
	case t.Before(time.Unix(0, math.MinInt64)):
		return math.MinInt64
	case t.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	default:
		return t.UnixNano()
	}
}

// subjectOf returns the ids in a record, if they are well-formed: the program that wrote the record
// may have put the key itself into any field.
func subjectOf(fields map[string]string) *Subject {
	s := Subject{KeyID: fields[store.KeyID], OrgID: fields[store.KeyOrgID]}
	for _, id := range []*string{&s.KeyID, &s.OrgID} {
		if !config.ValidID(*id) || redact.HasKey(*id) {
			*id = ""
		}
	}
	if s == (Subject{}) {
		return nil
	}
	return &s
}

// logBadRecord logs a damaged record with its id or hint, if these are well-formed: the program
// that wrote the record may have put the key itself into any field.
func (a *Auth) logBadRecord(fields map[string]string, err error) {
	if !a.badRecords.Allow() {
		return
	}
	id, hint := fields[store.KeyID], fields[store.KeyHint]
	if !config.ValidID(id) || apikey.Valid(id) {
		id = ""
	}
	if len(hint) > len(apikey.Prefix)+8 {
		hint = ""
	}
	a.logger.Error("invalid record of an API key; requests with the key get 503 invalid_key_record",
		"key_id", id, "hint", hint, "error", err)
}

// parseDigest reads the sha256 hex of a key.
func parseDigest(s string) (d digest, ok bool) {
	if len(s) != hex.EncodedLen(len(d)) {
		return d, false
	}
	_, err := hex.Decode(d[:], []byte(s))
	return d, err == nil
}

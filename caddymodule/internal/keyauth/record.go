package keyauth

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// This file is what is remembered of keys, and how a record in Redis becomes that.

// entry is a key that was good when it was read. Only used and touched ever change.
type entry struct {
	Record

	digest  digest
	counter *counter // of this key's use
	expires int64    // the first nanosecond of the wall clock at which the key is expired
	read    instant  // before the read began
	epoch   uint64   // the epoch in which the read began (see Auth.epoch)

	used    atomic.Bool  // whether a request was let in from the cache since the read
	touched atomic.Int64 // when its use was last noted in the LRU, on the age clock
}

// refusedKey is a key that was refused when it was read.
type refusedKey struct {
	refusal *Refusal
	read    instant
	epoch   uint64
}

// answer is what a read came to: either a good key or a refusal; refuseUnavailable stands for no answer.
type answer struct {
	entry   *entry
	refusal *Refusal
	read    instant // before the read began
}

// digest hashes the key. The copy keeps it on the stack.
func (c credential) digest() digest {
	var text [config.MaxKeyLength]byte
	return sha256.Sum256(text[:copy(text[:], c.key)])
}

// judge says what the answer of Redis about the key d means. Revoked goes before an unreadable record, and that before expired, which is
// judged when the entry is used.
func (a *Auth) judge(d digest, h store.Hash, read instant, epoch uint64) answer {
	switch {
	case redis.HasErrorPrefix(h.Err, "WRONGTYPE"): // another type stands where the record should
		a.logBadRecord(nil, h.Err)
		return answer{read: read, refusal: refuseBadRecord}
	case h.Err != nil:
		return answer{read: read, refusal: refuseUnavailable}
	case len(h.Fields) == 0 && !h.Marked: // Redis has lost its data, or never had any: that says nothing about the key
		return answer{read: read, refusal: refuseUnavailable}
	case len(h.Fields) == 0:
		return answer{read: read, refusal: refuseUnknown}
	case h.Fields[store.KeyRevokedAt] != "":
		return answer{read: read, refusal: refuseRevoked}
	}
	key, err := config.KeyFromHash(h.Fields)
	if err != nil {
		a.logBadRecord(h.Fields, err)
		return answer{read: read, refusal: refuseBadRecord}
	}
	e := &entry{
		Record:  Record{KeyID: key.ID, OrgID: key.OrgID, Name: key.Name},
		digest:  d,
		counter: a.usage.counter(key.ID),
		expires: math.MaxInt64,
		read:    read,
		epoch:   epoch,
	}
	if !key.ExpiresAt.IsZero() {
		e.expires = wallNanos(key.ExpiresAt)
	}
	e.touched.Store(read.age)
	return answer{read: read, entry: e}
}

// wallNanos is t.UnixNano that stops at the ends of what fits.
func wallNanos(t time.Time) int64 {
	switch {
	case t.Before(time.Unix(0, math.MinInt64)):
		return math.MinInt64
	case t.After(time.Unix(0, math.MaxInt64)):
		return math.MaxInt64
	default:
		return t.UnixNano()
	}
}

// logBadRecord names a damaged record by its id or hint, as far as these are what they should be: who wrote a broken record may have put the
// key itself anywhere.
func (a *Auth) logBadRecord(fields map[string]string, err error) {
	if !a.badRecords.Allow() {
		return
	}
	id, hint := fields[store.KeyID], fields[store.KeyHint]
	if !config.ValidID(id) || config.ValidKey(id) {
		id = ""
	}
	if len(hint) > len(config.KeyPrefix)+8 {
		hint = ""
	}
	a.logger.Error("the record of an API key breaks the rules, so requests with it get 503 invalid_key_record",
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

package keyauth

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestVerdictsOfRecords(t *testing.T) {
	f := newFixture(Options{})
	record := func(change ...string) map[string]string {
		r := goodFields("k1")
		for i := 0; i < len(change); i += 2 {
			if change[i+1] == "" {
				delete(r, change[i])
			} else {
				r[change[i]] = change[i+1]
			}
		}
		return r
	}
	tests := []struct {
		name   string
		fields map[string]string
		want   string
	}{
		{"good", record(), "allowed k1"},
		{"without a name", record("name", ""), "allowed k1"},
		{"absent", nil, codeUnknown},
		{"revoked", record("revoked_at", "2026-05-01T00:00:00Z"), codeRevoked},
		{"revoked in the future", record("revoked_at", "2126-05-01T00:00:00Z"), codeRevoked},
		{"revoked in words", record("revoked_at", "yes"), codeRevoked},
		{"revoked and damaged", record("revoked_at", "x", "id", "", "expires_at", "?"), codeRevoked},
		{"expired", record("expires_at", "2026-06-01T12:00:00Z"), codeExpired},
		{"expired under another zone", record("expires_at", "2026-06-01T14:00:00+02:00"), codeExpired},
		{"not expired yet", record("expires_at", "2026-06-01T12:00:00.001Z"), "allowed k1"},
		{"expires after what fits", record("expires_at", "9999-12-31T23:59:59Z"), "allowed k1"},
		{"expired before what fits", record("expires_at", "0001-01-01T00:00:00Z"), codeExpired},
		{"unreadable expiry", record("expires_at", "tomorrow"), codeBadRecord},
		{"expired and damaged", record("expires_at", "2026-05-01T00:00:00Z", "org_id", ""), codeBadRecord},
		{"without id", record("id", ""), codeBadRecord},
		{"without organization", record("org_id", ""), codeBadRecord},
		{"ill-formed organization", record("org_id", "a\r\nb"), codeBadRecord},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			key := testKey(tt.name)
			f.redis.set(key, tt.fields)
			for range 2 { // from Redis, then from memory
				want(t, "verdict", f.ask(key), tt.want)
			}
			want(t, "reads", f.redis.count(), 1)
			f.redis.reads = 0
		})
	}
}

func TestVerdictCarriesTheIdentity(t *testing.T) {
	f := newFixture(Options{})
	key := testKey("a")
	f.redis.set(key, goodFields("k1"))
	v := f.Authenticate(t.Context(), []string{key}, "")
	if diff := cmp.Diff(&Record{KeyID: "k1", OrgID: "org-k1", Name: "name of k1"}, v.Key); diff != "" {
		t.Error(diff)
	}
}

func TestMissingMarkerIsAnOutage(t *testing.T) {
	f := newFixture(Options{})
	a, b := testKey("a"), testKey("b")
	f.redis.set(b, goodFields("k2"))
	f.redis.empty = true
	want(t, "not found, no marker", f.ask(a), codeUnavailable)
	want(t, "found, no marker", f.ask(b), "allowed k2")
	want(t, "another that is not found", f.ask(testKey("c")), codeUnavailable)
	f.redis.empty = false
	want(t, "not found, marker", f.ask(a), codeUnknown)
}

func TestWrongTypeIsADamagedRecord(t *testing.T) {
	f := newFixture(Options{})
	f.redis.fail(reply("WRONGTYPE Operation against a key holding the wrong kind of value"))
	want(t, "verdict", f.ask(testKey("a")), codeBadRecord)
	f.redis.fail(nil)
	want(t, "another's verdict", f.ask(testKey("b")), codeUnknown)
}

// An error that Redis answers with does not open the breaker.
func TestRedisAnswersWithAnError(t *testing.T) {
	f := newFixture(Options{})
	f.redis.fail(reply("LOADING Redis is loading the dataset in memory"))
	want(t, "verdict", f.ask(testKey("a")), codeUnavailable)
	f.redis.fail(nil)
	want(t, "verdict", f.ask(testKey("a")), codeUnknown)
}

func TestExpiryAtItsInstant(t *testing.T) {
	f := newFixture(Options{})
	key := testKey("a")
	fields := goodFields("k1")
	fields["expires_at"] = "2026-06-01T12:00:10Z"
	f.redis.set(key, fields)
	want(t, "first", f.ask(key), "allowed k1")
	f.hands.pass(10*time.Second - 1)
	want(t, "just before", f.ask(key), "allowed k1")
	f.hands.pass(1)
	want(t, "at its instant", f.ask(key), codeExpired)
	f.redis.fail(errDown)
	f.Gap()
	want(t, "without Redis", f.ask(key), codeExpired)
	want(t, "uses", f.uses("k1"), 2)
}

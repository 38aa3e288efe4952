package keyauth

import (
	"strings"
	"testing"

	"github.com/tenzo-ai/tenzo-gateway/config/apikey"
)

func TestChecksum(t *testing.T) {
	good, strange := apikey.Generate(nil), testKey("elsewhere")
	detail := func(f *fixture, key string) string {
		return f.Authenticate(t.Context(), []string{key}, "").Refusal.Detail
	}
	f := newFixture(Options{})
	for range 2 { // from Redis, then from memory
		if d := detail(f, strange); !strings.Contains(d, "looks mistyped") {
			t.Error(d)
		}
		if d := detail(f, good); strings.Contains(d, "looks mistyped") {
			t.Error(d)
		}
	}
	f.redis.set(strange, goodFields("k1"))
	f.changed(strange)
	want(t, "a key made elsewhere", f.ask(strange), "allowed k1")

	f.reconfigure(Options{RequireChecksum: true})
	reads := f.redis.count()
	want(t, "held, but a checksum is required now", f.ask(strange), codeMalformed)
	want(t, "reads", f.redis.count(), reads)
	if d := detail(f, strange); !strings.Contains(d, "looks mistyped") {
		t.Error(d)
	}
}

// The verdict on a held key allocates nothing.
func TestCachedVerdictAllocatesNothing(t *testing.T) {
	a, values := warm(t, 1)
	ctx := t.Context()
	if n := testing.AllocsPerRun(1000, func() { a.Authenticate(ctx, values[0], "192.0.2.1") }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

package backoff

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

const ms = time.Millisecond

func TestPausesDoubleUpToMax(t *testing.T) {
	b := New(50 * ms)
	for _, want := range []time.Duration{50 * ms, 100 * ms, 200 * ms, 400 * ms, 800 * ms, Max, Max} {
		if got := b.Next(); got != want {
			t.Errorf("got a pause of %s, want %s", got, want)
		}
	}
	b.Reset()
	if got := b.Next(); got != 50*ms {
		t.Errorf("after a reset: %s", got)
	}
}

func TestJitterTakesAtMostHalf(t *testing.T) {
	for range 1000 {
		b := Jittered(50 * ms)
		for _, full := range []time.Duration{50 * ms, 100 * ms, 200 * ms} {
			if got := b.Next(); got < full/2 || got >= full {
				t.Fatalf("got a pause of %s, want at least %s and less than %s", got, full/2, full)
			}
		}
	}
}

func TestWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 120*ms)
		defer cancel()
		began := time.Now()
		b := New(100 * ms)
		if !b.Wait(ctx) || time.Since(began) != 100*ms {
			t.Errorf("the first wait took %s", time.Since(began))
		}
		if b.Wait(ctx) || time.Since(began) != 120*ms {
			t.Errorf("the second wait outlived its context: %s", time.Since(began))
		}
	})
}

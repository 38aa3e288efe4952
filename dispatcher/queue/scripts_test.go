package queue

import (
	"context"
	"fmt"
	"testing"
	"time"
)

// Whoever calls says how long Redis may take; who does not say gets a bound all the same.
func TestBounded(t *testing.T) {
	want := time.Now().Add(3 * commandTimeout)
	long, cancel := context.WithDeadline(t.Context(), want)
	defer cancel()
	ctx, cancel := bounded(long)
	defer cancel()
	if got, ok := ctx.Deadline(); !ok || !got.Equal(want) {
		t.Errorf("a deadline of %v became %v", want, got)
	}
	ctx, cancel = bounded(t.Context())
	defer cancel()
	if got, ok := ctx.Deadline(); !ok || time.Until(got) > commandTimeout {
		t.Errorf("no deadline became %v", got)
	}
}

// Redis may know some scripts and not others: after SCRIPT FLUSH, while two versions run. What is done at once is told as done.
func TestCommitWithSomeScriptsUnknown(t *testing.T) {
	on(t, func(t *testing.T, e *env) {
		for i := range 3 {
			e.publish("org", fmt.Sprint("id", i), `{}`)
		}
		p := e.process()
		b := e.take(p, 10)
		e.do("script", "flush")
		e.do("script", "load", lib+"\n"+mustRead("deliver"))
		logged := &Delivery{ID: "id0", Event: "note.finalized", Attempt: 1, Status: 200, At: time.Now()}
		done := e.commit(p,
			Step{Kind: StepDeliver, Event: &b.Events[0], Delivery: logged},
			Step{Kind: StepPark, Event: &b.Events[1]},
			Step{Kind: StepSkip, Event: &b.Events[2]},
		)
		for i, ok := range done {
			if !ok {
				t.Errorf("step %d is told as not done", i)
			}
		}
		e.books(Books{Published: 3, Delivered: 1, Skipped: 1, Waiting: 1})
		if n := e.raw.XLen(t.Context(), "tenzo:deliveries:org").Val(); n != 1 {
			t.Errorf("%d attempts in the delivery log", n)
		}
	})
}

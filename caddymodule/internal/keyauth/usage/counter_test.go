package usage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"github.com/redis/go-redis/v9"
)

// sinkFunc is a Sink that takes everything and answers as the function says.
type sinkFunc func(Total) error

func (f sinkFunc) Send(_ context.Context, totals []Total, _ bool) []error {
	errs := make([]error, len(totals))
	for i, t := range totals {
		errs[i] = f(t)
	}
	return errs
}

func (f sinkFunc) Remove(_ context.Context, totals []Total) []error {
	return make([]error, len(totals))
}

func newCounters(send sinkFunc) *Counters {
	return NewOver(send, slog.New(slog.DiscardHandler), func(bool) {})
}

// A use that comes while its counter is being retired counts on the successor, and on that alone.
func TestUseOfARetiredCounterIsCountedOnce(t *testing.T) {
	u := newCounters(func(Total) error { return nil })
	c := u.Counter("k1")
	for range 3 {
		u.Add(c, 0)
	}
	if !u.retire(c, 3) {
		t.Fatal("not retired")
	}
	u.Add(c, 0) // the held record still points to the retired counter
	u.Add(c, 0)
	if n := c.total(); n != 3 {
		t.Errorf("the retired counter has %d", n)
	}
	if late := c.state.Load()&^retired - 3; late != 2 { // each of them saw that it is retired
		t.Errorf("%d came to the retired counter", late)
	}
	next := u.Counter("k1")
	if n := next.total(); n != 2 || next.field == c.field {
		t.Errorf("its successor has %d in field %s, after %s", n, next.field, c.field)
	}
	if u.retire(c, 3) {
		t.Error("retired twice")
	}
}

// wrongType is an answer of Redis.
type wrongType struct{}

var _ redis.Error = wrongType{}

func (wrongType) RedisError() {}

func (wrongType) Error() string {
	return "WRONGTYPE Operation against a key holding the wrong kind of value"
}

// A damaged usage hash does not keep the counts of other keys out of Redis.
func TestErrorOfOneKey(t *testing.T) {
	u := newCounters(func(t Total) error {
		if t.KeyID == "k77" {
			return wrongType{}
		}
		return nil
	})
	for i := range 2 * flushBatch {
		u.Add(u.Counter(fmt.Sprint("k", i)), 0)
	}
	u.Flush(t.Context())
	if n := u.Pending(); n != 1 {
		t.Errorf("%d are pending", n)
	}
	if u.resend.Load() {
		t.Error("it is suspected that Redis lost something")
	}
}

func TestUnanswered(t *testing.T) {
	for err, is := range map[error]bool{
		nil: false, errors.New("connection refused"): true, context.DeadlineExceeded: true, wrongType{}: false,
		errors.Join(errors.New("reading"), wrongType{}): false,
	} {
		if got := unanswered(err); got != is {
			t.Errorf("%v: %v", err, got)
		}
	}
}

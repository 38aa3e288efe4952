package dispatcher

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// fakeStore answers reads of webhooks, all of them alike.
type fakeStore struct {
	url   atomic.Value
	err   atomic.Value
	reads atomic.Int64
	hold  chan struct{} // a read waits for it, where it is not nil
	bare  bool          // no webhook
	mark  bool
}

func (f *fakeStore) read(_ context.Context, keys ...string) []store.Hash {
	f.reads.Add(1)
	url, _ := f.url.Load().(string)
	if f.hold != nil {
		<-f.hold
	}
	out := make([]store.Hash, len(keys))
	for i := range out {
		out[i].Initialized = f.mark
		if err, _ := f.err.Load().(error); err != nil && err != errNone {
			out[i].Err = err
		} else if !f.bare {
			out[i].Fields = map[string]string{"url": url, "active": "1"}
		}
	}
	return out
}

var (
	errNone = errors.New("none")
	errDown = errors.New("down")
)

func (f *fakeStore) cache() *webhookCache {
	return webhookCacheOver(f.read, store.NewNames(store.DefaultPrefix))
}

func expect(t *testing.T, c *webhookCache, want string) {
	t.Helper()
	w, err := c.get(t.Context(), "org")
	if err != nil || w.URL != want {
		t.Errorf("got %q, %v; want %q", w.URL, err, want)
	}
}

func TestWebhookCacheAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeStore{mark: true}
		c := f.cache()
		f.url.Store("1")
		expect(t, c, "1")
		f.url.Store("2")
		time.Sleep(59 * time.Second)
		expect(t, c, "1")
		time.Sleep(time.Second)
		expect(t, c, "2")
		f.err.Store(errDown)
		time.Sleep(time.Minute)
		if _, err := c.get(t.Context(), "org"); !errors.Is(err, errDown) {
			t.Errorf("trusted for more than a minute: %v", err)
		}
	})
}

func TestWebhookCachePushWinsOverRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeStore{mark: true, hold: make(chan struct{})}
		c := f.cache()
		f.url.Store("old")
		early := make(chan string)
		go func() { w, _ := c.get(t.Context(), "org"); early <- w.URL }()
		synctest.Wait()
		c.WebhookChanged("org", time.Now())
		f.url.Store("new")
		late := make(chan string)
		go func() { w, _ := c.get(t.Context(), "org"); late <- w.URL }()
		synctest.Wait()
		close(f.hold)
		if got := <-early; got != "old" { // a request that waited since before may take its answer
			t.Errorf("early: %q", got)
		}
		if got := <-late; got != "new" {
			t.Errorf("late: %q", got)
		}
		expect(t, c, "new")
		if n := f.reads.Load(); n != 2 {
			t.Errorf("%d reads", n)
		}
	})
}

func TestWebhookCacheGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeStore{mark: true}
		c := f.cache()
		f.url.Store("1")
		expect(t, c, "1")
		f.url.Store("2")
		c.Gap()
		f.err.Store(errDown)
		time.Sleep(59 * time.Second)
		expect(t, c, "1") // no answer: the age alone binds
		f.err.Store(errNone)
		expect(t, c, "2")
		f.err.Store(errDown)
		c.Gap()
		time.Sleep(time.Minute)
		if _, err := c.get(t.Context(), "org"); !errors.Is(err, errDown) {
			t.Errorf("trusted for more than a minute: %v", err)
		}
	})
}

func TestWebhookCacheAbsent(t *testing.T) {
	f := &fakeStore{bare: true}
	c := f.cache()
	if _, err := c.get(t.Context(), "org"); !errors.Is(err, errNoMarker) {
		t.Errorf("absent without a marker: %v", err)
	}
	f.mark = true
	if w, err := c.get(t.Context(), "org"); err != nil || w.Active {
		t.Errorf("absent: %+v, %v", w, err)
	}
}

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

// fakeStore answers reads of one webhook.
type fakeStore struct {
	url   atomic.Value
	err   atomic.Value
	reads atomic.Int64
	hold  chan struct{} // where not nil, a read waits for it
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
		out[i].Marked = f.mark
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

func settingsOver(f *fakeStore) *settings {
	s := newSettings(&store.Store{})
	s.read = f.read
	return s
}

func expect(t *testing.T, s *settings, want string) {
	t.Helper()
	w, err := s.get(t.Context(), "org")
	if err != nil || w.URL != want {
		t.Errorf("got %q, %v; want %q", w.URL, err, want)
	}
}

func TestSettingsAge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeStore{mark: true}
		s := settingsOver(f)
		f.url.Store("1")
		expect(t, s, "1")
		f.url.Store("2")
		time.Sleep(59 * time.Second)
		expect(t, s, "1")
		time.Sleep(time.Second)
		expect(t, s, "2")
		f.err.Store(errDown)
		time.Sleep(time.Minute)
		if _, err := s.get(t.Context(), "org"); !errors.Is(err, errDown) {
			t.Errorf("trusted for more than a minute: %v", err)
		}
	})
}

func TestSettingsPushWinsOverRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeStore{mark: true, hold: make(chan struct{})}
		s := settingsOver(f)
		f.url.Store("old")
		early := make(chan string)
		go func() { w, _ := s.get(t.Context(), "org"); early <- w.URL }()
		synctest.Wait()
		s.WebhookChanged("org", time.Now())
		f.url.Store("new")
		late := make(chan string)
		go func() { w, _ := s.get(t.Context(), "org"); late <- w.URL }()
		synctest.Wait()
		close(f.hold)
		if got := <-early; got != "old" { // who waited since before may take its answer
			t.Errorf("early: %q", got)
		}
		if got := <-late; got != "new" {
			t.Errorf("late: %q", got)
		}
		expect(t, s, "new")
		if n := f.reads.Load(); n != 2 {
			t.Errorf("%d reads", n)
		}
	})
}

func TestSettingsGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeStore{mark: true}
		s := settingsOver(f)
		f.url.Store("1")
		expect(t, s, "1")
		f.url.Store("2")
		s.Gap()
		f.err.Store(errDown)
		time.Sleep(59 * time.Second)
		expect(t, s, "1") // no answer: the age alone binds
		f.err.Store(errNone)
		expect(t, s, "2")
		f.err.Store(errDown)
		s.Gap()
		time.Sleep(time.Minute)
		if _, err := s.get(t.Context(), "org"); !errors.Is(err, errDown) {
			t.Errorf("trusted for more than a minute: %v", err)
		}
	})
}

func TestSettingsAbsent(t *testing.T) {
	f := &fakeStore{bare: true}
	s := settingsOver(f)
	if _, err := s.get(t.Context(), "org"); !errors.Is(err, errNoMarker) {
		t.Errorf("absent without a marker: %v", err)
	}
	f.mark = true
	if w, err := s.get(t.Context(), "org"); err != nil || w.Active {
		t.Errorf("absent: %+v, %v", w, err)
	}
}

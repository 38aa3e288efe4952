package dispatcher

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// settingsAge is for how long a webhook's settings are trusted, counted from the moment before the read (specification.md, section 6).
const settingsAge = 60 * time.Second

// errNoMarker says that an absent webhook says nothing: the schema marker is missing.
var errNoMarker = errors.New("the schema marker is missing")

// settings are the webhooks as they stand in Redis, kept fresh by pushes. It is a changes.Handler.
//
// Invariants: an entry's age counts from before its read. A push drops the entry, and the read that was in flight when it came: who
// waited for that read since before takes its answer, which is not kept, and nobody who comes later joins it. After a gap every entry
// is read again before its next use; while Redis gives no answer its age alone binds.
type settings struct {
	read  func(ctx context.Context, keys ...string) []store.Hash
	names store.Names

	mu    sync.Mutex
	known map[string]setting
	reads map[string]*settingRead
}

type setting struct {
	webhook config.Webhook // Active is false where there is none
	asked   time.Time      // just before the read
	doubted bool           // a change may have been missed since
}

// settingRead is a read in flight. Its fields are written before done is closed.
type settingRead struct {
	done    chan struct{}
	webhook config.Webhook
	err     error
}

func newSettings(st *store.Store) *settings {
	return &settings{read: st.ReadHashes, names: st.Names(), known: map[string]setting{}, reads: map[string]*settingRead{}}
}

// age is how old something is, by the clock that says more: the monotonic one stands still while a machine is suspended, the wall
// clock may be set back.
func age(now, then time.Time) time.Duration {
	return max(now.Sub(then), now.Round(0).Sub(then.Round(0)))
}

// KeyChanged is of no concern here.
func (s *settings) KeyChanged(string, time.Time) {}

// WebhookChanged drops what is known of the organization's webhook.
func (s *settings) WebhookChanged(org string, _ time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.known, org)
	delete(s.reads, org)
}

// Gap puts everything in doubt.
func (s *settings) Gap() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for org, e := range s.known {
		e.doubted = true
		s.known[org] = e
	}
	clear(s.reads)
}

// get returns the webhook of org; Active is false where there is none. The error is that of a read.
func (s *settings) get(ctx context.Context, org string) (config.Webhook, error) {
	s.mu.Lock()
	e, ok := s.known[org]
	if ok && !e.doubted && age(time.Now(), e.asked) < settingsAge {
		s.mu.Unlock()
		return e.webhook, nil
	}
	r := s.reads[org]
	s.mu.Unlock()
	if r == nil {
		r = s.fetch(ctx, org)[0]
	}
	select {
	case <-r.done:
	case <-ctx.Done():
		return config.Webhook{}, ctx.Err()
	}
	if r.err == nil {
		return r.webhook, nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.known[org]; ok && age(time.Now(), e.asked) < settingsAge {
		return e.webhook, nil // no answer: what is only in doubt holds until its age is over
	}
	return config.Webhook{}, r.err
}

// prefetch reads, in one pipeline, the webhooks among orgs that are not known or being read already.
func (s *settings) prefetch(ctx context.Context, orgs []string) {
	var need []string
	now := time.Now()
	s.mu.Lock()
	for _, org := range orgs {
		if e, ok := s.known[org]; (!ok || e.doubted || age(now, e.asked) >= settingsAge) && s.reads[org] == nil && !slices.Contains(need, org) {
			need = append(need, org)
		}
	}
	s.mu.Unlock()
	if len(need) > 0 {
		s.fetch(ctx, need...)
	}
}

// fetch reads webhooks in one pipeline, and returns the read of each: its own, or one that was in flight already.
func (s *settings) fetch(ctx context.Context, orgs ...string) []*settingRead {
	now := time.Now()
	var keys, of []string
	var mine, all []*settingRead
	s.mu.Lock()
	for _, org := range orgs {
		r := s.reads[org]
		if r == nil {
			r = &settingRead{done: make(chan struct{})}
			s.reads[org] = r
			mine, of, keys = append(mine, r), append(of, org), append(keys, s.names.Webhook(org))
		}
		all = append(all, r)
	}
	s.mu.Unlock()
	if len(keys) == 0 {
		return all
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	hashes := s.read(ctx, keys...)
	cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, h := range hashes {
		r, org := mine[i], of[i]
		switch {
		case h.Err != nil:
			r.err = h.Err
		case len(h.Fields) == 0 && !h.Marked:
			r.err = errNoMarker
		case len(h.Fields) > 0:
			r.webhook = config.WebhookFromHash(org, h.Fields)
		default:
			r.webhook = config.Webhook{OrgID: org}
		}
		if s.reads[org] == r { // no push came meanwhile
			delete(s.reads, org)
			if r.err == nil {
				s.known[org] = setting{webhook: r.webhook, asked: now}
			}
		}
		close(r.done)
	}
	return all
}

// sweep forgets what is too old to be used, which bounds the memory by the organizations in use.
func (s *settings) sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for org, e := range s.known {
		if age(now, e.asked) >= settingsAge {
			delete(s.known, org)
		}
	}
}

// Package usagetest is a usage.Sink in memory, for tests.
package usagetest

import (
	"context"
	"sync"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/keyauth/usage"
)

// Reply is an error that Redis answers with.
type Reply string

func (e Reply) Error() string { return string(e) }

// RedisError implements redis.Error.
func (Reply) RedisError() {}

// ErrOOM is the answer of a full Redis.
const ErrOOM = Reply("OOM command not allowed when used memory > 'maxmemory'.")

// Sink keeps usage as the script in Redis does, and can fail before or after it did.
type Sink struct {
	mu     sync.Mutex
	counts map[string]uint64            // by key id
	last   map[string]int64             // by key id
	fields map[string]map[string]uint64 // by key id, then field
	before error
	after  error
	full   bool
}

// NewSink returns an empty Sink.
func NewSink() *Sink {
	return &Sink{counts: map[string]uint64{}, last: map[string]int64{}, fields: map[string]map[string]uint64{}}
}

// Fail makes every call fail: with before, nothing is done; with after, everything is done and the
// answer is lost.
func (s *Sink) Fail(before, after error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before, s.after = before, after
}

// SetFull makes the sink take forced totals only.
func (s *Sink) SetFull(full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.full = full
}

// Count returns the count of a key.
func (s *Sink) Count(id string) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[id]
}

// LastUsed returns the last use of a key in Unix milliseconds.
func (s *Sink) LastUsed(id string) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last[id]
}

// Keys returns how many keys were counted.
func (s *Sink) Keys() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.counts)
}

// Fields returns how many private fields the hash of a key has.
func (s *Sink) Fields(id string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.fields[id])
}

// Rewind sets the count of a key, and that of each of its fields, to an earlier value, as a Redis
// that lost its last writes does. With zero the fields are gone.
func (s *Sink) Rewind(id string, count uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts[id] = count
	for field := range s.fields[id] {
		s.fields[id][field] = count
	}
	if count == 0 {
		delete(s.fields, id)
	}
}

// DropFields removes the fields of a key, as other processes do with those of silent processes.
func (s *Sink) DropFields(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.fields, id)
}

// Send implements usage.Sink.
func (s *Sink) Send(_ context.Context, totals []usage.Total, force bool) []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	errs := make([]error, len(totals))
	for i, t := range totals {
		errs[i] = s.before
		if s.full && !force {
			errs[i] = ErrOOM
		}
		if errs[i] != nil {
			continue
		}
		if s.fields[t.KeyID] == nil {
			s.fields[t.KeyID] = map[string]uint64{}
		}
		if had := s.fields[t.KeyID][t.Field]; t.Count > had {
			s.counts[t.KeyID] += t.Count - had
			s.fields[t.KeyID][t.Field] = t.Count
		}
		s.last[t.KeyID] = max(s.last[t.KeyID], t.LastUsed)
		errs[i] = s.after
	}
	return errs
}

// Remove implements usage.Sink.
func (s *Sink) Remove(_ context.Context, totals []usage.Total) []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	errs := make([]error, len(totals))
	for i, t := range totals {
		if errs[i] = s.before; errs[i] == nil {
			delete(s.fields[t.KeyID], t.Field)
			errs[i] = s.after
		}
	}
	return errs
}

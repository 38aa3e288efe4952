package queue

import (
	"errors"
	"fmt"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/problem"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/payload"
)

// Defaults of Options (specification.md, section 4).
const (
	DefaultDeadRetention = 30 * 24 * time.Hour
	DefaultDeadLimit     = 1_000_000
)

// Options configure a Queue.
type Options struct {
	// MaxPayload is the largest payload in bytes, as published. An event with a larger one becomes
	// a dead letter at once. payload.DefaultMaxPayload where 0.
	MaxPayload    int
	DeadRetention time.Duration // how long dead letters are kept; DefaultDeadRetention where 0
	DeadLimit     int           // how many dead letters are kept; DefaultDeadLimit where 0
}

// Queue is the events of one store. It is safe for concurrent use and starts no goroutine.
type Queue struct {
	store   *store.Store
	names   store.Names
	options Options
}

// New returns the queue of st. It does not connect.
func New(st *store.Store, o Options) *Queue {
	if o.MaxPayload == 0 {
		o.MaxPayload = payload.DefaultMaxPayload
	}
	if o.DeadRetention == 0 {
		o.DeadRetention = DefaultDeadRetention
	}
	if o.DeadLimit == 0 {
		o.DeadLimit = DefaultDeadLimit
	}
	return &Queue{store: st, names: st.Names(), options: o}
}

// managementError makes the error that the management side returns where Redis could not do its
// part: a missing marker is a refusal that says what to do.
func managementError(err error) error {
	var refusal *problem.Error
	if err == nil || errors.As(err, &refusal) {
		return err
	}
	return fmt.Errorf("redis: %w", err)
}

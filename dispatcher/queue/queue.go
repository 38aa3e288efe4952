package queue

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/problem"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/payload"
)

// What a Queue keeps where its Options do not say (specification.md, section 4).
const (
	DefaultDeadRetention = 30 * 24 * time.Hour
	DefaultDeadLimit     = 1_000_000
)

// Options say what a Queue keeps and for how long.
type Options struct {
	MaxPayload    int           // bytes of a payload as published; larger ones are dead at once; payload.DefaultMaxPayload where 0
	DeadRetention time.Duration // how long dead events are kept; DefaultDeadRetention where 0
	DeadLimit     int           // how many dead events are kept; DefaultDeadLimit where 0
	Logger        *slog.Logger  // slog.Default where nil
}

// Queue is the events of one store. It is safe for concurrent use and holds no goroutine.
type Queue struct {
	store   *store.Store
	names   store.Names
	options Options
	logger  *slog.Logger
}

// New returns the queue of st. It dials nothing.
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
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Queue{store: st, names: st.Names(), options: o, logger: o.Logger}
}

// storeError is what the people's side answers when Redis could not do its part: a missing marker is a refusal that says what to do.
func storeError(err error) error {
	var refusal *problem.Error
	if err == nil || errors.As(err, &refusal) {
		return err
	}
	return fmt.Errorf("redis: %w", err)
}

package apimodel

// This file defines deliveries, dead letters and replays.

import (
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

// Delivery is one attempt in the delivery log.
type Delivery struct {
	ID         string  `json:"id"`
	Event      string  `json:"event"`
	Attempt    int     `json:"attempt"` // 0 is a test
	Status     *int    `json:"status"`
	Error      *string `json:"error"`
	DurationMS int64   `json:"duration_ms"`
	At         *Time   `json:"at"`
}

// DeliveryOf converts an attempt.
func DeliveryOf(d queue.Delivery) Delivery {
	return Delivery{
		ID: d.ID, Event: d.Event, Attempt: d.Attempt, Status: orNull(d.Status), Error: orNull(d.Error),
		DurationMS: d.Duration.Milliseconds(), At: timeOrNull(d.At),
	}
}

// DeadLetter is a dead letter without its payload, which is internal as published and may be large.
type DeadLetter struct {
	ID          string  `json:"id"`
	Event       string  `json:"event"`
	OrgID       string  `json:"org_id"`
	Reason      string  `json:"reason"`
	Attempts    int     `json:"attempts"`
	LastStatus  *int    `json:"last_status"`
	LastError   *string `json:"last_error"`
	PublishedAt *Time   `json:"published_at"`
	FirstSeenAt *Time   `json:"first_seen_at"`
	DeadAt      *Time   `json:"dead_at"`
}

// DeadLetterOf converts a dead letter.
func DeadLetterOf(d queue.DeadLetter) DeadLetter {
	return DeadLetter{
		ID: d.ID, Event: d.Event, OrgID: d.OrgID, Reason: d.Reason, Attempts: d.Attempts,
		LastStatus: orNull(d.LastStatus), LastError: orNull(d.LastError),
		PublishedAt: timeOrNull(d.PublishedAt), FirstSeenAt: timeOrNull(d.FirstSeenAt), DeadAt: timeOrNull(d.DeadAt),
	}
}

// Replayed is the result of a replay.
type Replayed struct {
	Replayed   int       `json:"replayed"`
	Refused    []Refused `json:"refused"`
	Remaining  int       `json:"remaining"`
	NextCursor *string   `json:"next_cursor"` // null at the end
}

// Refused is a dead letter that was not replayed.
type Refused struct {
	ID     string `json:"id"`
	OrgID  string `json:"org_id,omitempty"`
	Reason string `json:"reason"`
}

// Published is an event in the stream.
type Published struct {
	ID       string    `json:"id"` // the Webhook-Id
	Warnings []Warning `json:"warnings"`
}

// Warning is why a published event may not be delivered.
type Warning struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// PublishedOf converts a published event's id and the warnings about it.
func PublishedOf(id string, warnings []queue.Warning) Published {
	return Published{ID: id, Warnings: ItemsOf(warnings, func(w queue.Warning) Warning { return Warning(w) })}
}

// ReplayedOf converts the result of a replay.
func ReplayedOf(r queue.ReplayResult) Replayed {
	return Replayed{Replayed: r.Replayed, Refused: ItemsOf(r.Refused, refusedOf), Remaining: r.Remaining, NextCursor: orNull(r.NextCursor)}
}

func refusedOf(r queue.Refusal) Refused { return Refused{ID: r.ID, OrgID: r.OrgID, Reason: r.Reason} }

// Package payload makes of the document that a producer published the public one that leaves (specification.md, section 7): the members that the
// customers' documentation shows, and no others, with their bytes untouched.
//
// It is a projection over bytes. The first pass reads the published document token by token and writes what may leave, in the order it
// was published; what depends on something that comes later (an absent attendee list, data that does not apply to this kind of meeting)
// is noted and put in place by the second pass. Nothing is decoded into Go values and encoded again, so numbers, escapes and order stay
// as they were. What may leave stands in one table, documented.go.
package payload

import "time"

// Reasons for which a payload is never sent (specification.md, section 7).
const (
	InvalidPayload  = "invalid_payload"
	UnknownEvent    = "unknown_event"
	PayloadTooLarge = "payload_too_large"
)

// DefaultMaxPayload is the size in bytes above which a payload, as published, is not sent (specification.md, section 7).
const DefaultMaxPayload = 1 << 20

// Error says why a payload is never sent. Neither part holds anything of the payload's content.
type Error struct {
	Reason string // one of the constants above: the reason in the dead stream
	Detail string // a sentence that says what is wrong, and at which documented member
}

// Error returns the detail.
func (e *Error) Error() string { return e.Detail }

// Options is what the operator lets leave beyond the documentation. The zero value lets nothing more leave.
type Options struct {
	MaxPayload  int                 // bytes as published; 0 means DefaultMaxPayload
	PassMembers map[string][]string // by documented event: paths of further members that leave whole, as "meeting.location"
	PassEvents  []string            // further events, whose payload leaves as published
}

// Source is an event as it was published.
type Source struct {
	Event       string
	OrgID       string
	PublishedAt time.Time
	Payload     []byte // JSON text; only read
}

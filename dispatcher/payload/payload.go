// Package payload projects the document that a producer published to the public one that leaves
// (specification.md, section 7): the members that the customers' documentation has, and no others,
// with their bytes untouched.
//
// It is a projection over bytes. The first pass reads the published document token by token and
// writes what may leave, in the published order. What depends on something that comes later (an
// absent list of attendees, data that does not apply to this type of meeting) is recorded, and the
// second pass inserts it. Nothing is decoded into Go values and encoded again, so numbers, escapes
// and order stay as they were. What may leave is in one table, documented.go; what else is done at
// a member is in a second one, the rules of node.go.
package payload

import "time"

// Reasons for which a payload is not sent (specification.md, section 7).
const (
	InvalidPayload  = "invalid_payload"
	UnknownEvent    = "unknown_event"
	PayloadTooLarge = "payload_too_large"
)

// DefaultMaxPayload is the size in bytes, as published, above which a payload is not sent
// (specification.md, section 7).
const DefaultMaxPayload = 1 << 20

// Error is why a payload is not sent. It contains nothing of the payload's content.
type Error struct {
	Reason string // one of the constants above: the reason of the dead letter
	Detail string // what is wrong, and at which documented member
}

// Error returns the detail.
func (e *Error) Error() string { return e.Detail }

// Options are what the operator lets leave beyond the documentation. The zero value adds nothing.
type Options struct {
	MaxPayload int // bytes as published; 0 means DefaultMaxPayload
	// PassMembers are, by documented event, the paths of further members, such as
	// "meeting.location". They leave as published.
	PassMembers map[string][]string
	PassEvents  []string // further events, whose payload leaves as published
}

// Source is an event as it was published.
type Source struct {
	Event       string
	OrgID       string
	PublishedAt time.Time
	Payload     []byte // JSON text; only read
}

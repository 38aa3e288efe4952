package queue

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// Options say what a Queue keeps and for how long; the zero value is the contract's defaults.
type Options struct {
	MaxPayload    int           // bytes of a payload as published; larger ones are dead at once; 1 MiB where 0
	DeadRetention time.Duration // how long dead events are kept; 30 days where 0
	DeadLimit     int           // how many dead events are kept; a million where 0
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
		o.MaxPayload = 1 << 20
	}
	if o.DeadRetention == 0 {
		o.DeadRetention = 30 * 24 * time.Hour
	}
	if o.DeadLimit == 0 {
		o.DeadLimit = 1_000_000
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Queue{store: st, names: st.Names(), options: o, logger: o.Logger}
}

// Event is an event to publish.
type Event struct {
	Name    string // the event's type, such as "note.finalized"
	OrgID   string
	ID      string // the event's own id; empty: the stream id serves, and publishing again is another event
	Payload []byte // JSON text
}

// Publish adds an event to the stream and returns the id its deliveries will carry as Webhook-Id: e.ID, or the stream id. Its errors
// are *config.Error where a rule refuses the event.
func (q *Queue) Publish(ctx context.Context, e Event) (id string, err error) {
	return "", errors.New("not built yet")
}

// Books are the totals that must balance at any moment: Published + Replayed = Delivered + Skipped + Dead + Duplicate + Waiting +
// Difference.
type Books struct {
	Published, Replayed                 int64
	Delivered, Skipped, Dead, Duplicate int64
	Waiting                             int64 // not finished yet: unread, in flight, parked or retrying
	Difference                          int64 // what is missing on the right; 0 where nothing was lost
}

// Books reads the books in one atomic step.
func (q *Queue) Books(ctx context.Context) (Books, error) {
	return Books{}, errors.New("not built yet")
}

// AcceptDifference writes the difference off, and returns how much it was and the books afterwards.
func (q *Queue) AcceptDifference(ctx context.Context) (int64, Books, error) {
	return 0, Books{}, errors.New("not built yet")
}

// DeadLetter is an event given up.
type DeadLetter struct {
	ID          string // the Webhook-Id
	Event       string
	OrgID       string
	Payload     []byte // as published
	PublishedAt time.Time
	Reason      string
	Attempts    int       // requests made
	LastStatus  int       // 0: no answer came, or no request was made
	LastError   string    // in words; empty where the last attempt got an answer
	FirstSeenAt time.Time // when a dispatcher first took it
	DeadAt      time.Time // when it was given up
}

// DeadLetters returns up to limit dead events of org (empty: of all), newest first, from cursor on (empty: the first page). A page of
// one organization reads no other's events.
func (q *Queue) DeadLetters(ctx context.Context, org string, limit int, cursor string) (config.Page[DeadLetter], error) {
	return config.Page[DeadLetter]{}, errors.New("not built yet")
}

// Replay says which dead events to deliver afresh: those with IDs (of Org where it is not empty), else those of Org, else All.
type Replay struct {
	IDs   []string
	Org   string
	All   bool
	Limit int // how many to look at in this call; 1,000 where 0, and at most

	// Cursor says where to go on, for a caller that goes through more than one call's worth: the NextCursor of the call before.
	// Without it each call begins with the oldest, where the refused ones still stand.
	Cursor string
}

// Reasons to refuse a replay.
const (
	RefusedNotFound  = "not_found"        // there is no such dead event
	RefusedInactive  = "webhook_inactive" // the organization has no active webhook; the event stays where it is
	RefusedAmbiguous = "ambiguous_id"     // several organizations have a dead event with this id: name one
)

// Refused is one event that a replay left alone.
type Refused struct {
	ID     string
	OrgID  string // empty where unknown
	Reason string
}

// Replayed is how a replay went.
type Replayed struct {
	Replayed   int
	Refused    []Refused
	Remaining  int    // dead events that the same wish, repeated, would still find, the refused ones not counted
	NextCursor string // for the next call; empty where the end was reached
}

// Replay moves dead events back into the stream, each in one step, under the same Webhook-Id.
func (q *Queue) Replay(ctx context.Context, r Replay) (Replayed, error) {
	return Replayed{}, errors.New("not built yet")
}

// Delivery is one attempt in an organization's delivery log.
type Delivery struct {
	ID       string // the Webhook-Id
	Event    string
	Attempt  int           // 1 is the first; 0 is a test
	Status   int           // 0: no answer came
	Error    string        // why it was not acknowledged, in words; empty where it was
	Duration time.Duration // kept in milliseconds
	At       time.Time     // when the attempt began
}

// Deliveries returns up to limit attempts of org, newest first, from cursor on (empty: the first page).
func (q *Queue) Deliveries(ctx context.Context, org string, limit int, cursor string) (config.Page[Delivery], error) {
	return config.Page[Delivery]{}, errors.New("not built yet")
}

// LogAttempt adds one attempt to the delivery log of org.
func (q *Queue) LogAttempt(ctx context.Context, org string, d Delivery) error {
	return errors.New("not built yet")
}

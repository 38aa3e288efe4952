package api

// Events: publishing, the delivery log, dead events and their replay.

import (
	"net/http"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

// publishEvent adds an event to the stream. The payload keeps its bytes.
func (a *API) publishEvent(w http.ResponseWriter, r *http.Request, s scope) error {
	var body struct {
		Event   string         `json:"event"`
		ID      member[string] `json:"id"`
		Payload jsontext.Value `json:"payload"`
	}
	if err := readBody(w, r, maxEventBody, &body); err != nil {
		return err
	}
	if body.ID.set && !body.ID.null { // an empty id is most likely a mistake, where to the queue it is none
		if err := config.CheckEventID(body.ID.value); err != nil {
			return err
		}
	}
	id, err := a.services.Queue.Publish(r.Context(), queue.Event{Name: body.Event, OrgID: s.org, ID: body.ID.value, Payload: body.Payload})
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusAccepted, struct {
		ID string `json:"id"`
	}{id})
}

// deliveryView is one attempt.
type deliveryView struct {
	ID         string     `json:"id"`
	Event      string     `json:"event"`
	Attempt    int        `json:"attempt"` // 0 is a test
	Status     *int       `json:"status"`
	Error      *string    `json:"error"`
	DurationMS int64      `json:"duration_ms"`
	At         *time.Time `json:"at"`
}

func viewDelivery(d queue.Delivery) deliveryView {
	return deliveryView{
		ID: d.ID, Event: d.Event, Attempt: d.Attempt, Status: orNull(d.Status), Error: orNull(d.Error),
		DurationMS: d.Duration.Milliseconds(), At: timeOrNull(d.At),
	}
}

func (a *API) listDeliveries(w http.ResponseWriter, r *http.Request, s scope) error {
	limit, cursor, err := paging(r)
	if err != nil {
		return err
	}
	page, err := a.services.Queue.Deliveries(r.Context(), s.org, limit, cursor)
	if err != nil {
		return err
	}
	return writePage(w, page, viewDelivery)
}

// deadLetterView is a dead event without its payload: as published, that is internal, and a page of them may be large.
type deadLetterView struct {
	ID          string     `json:"id"`
	Event       string     `json:"event"`
	OrgID       string     `json:"org_id"`
	Reason      string     `json:"reason"`
	Attempts    int        `json:"attempts"`
	LastStatus  *int       `json:"last_status"`
	LastError   *string    `json:"last_error"`
	PublishedAt *time.Time `json:"published_at"`
	FirstSeenAt *time.Time `json:"first_seen_at"`
	DeadAt      *time.Time `json:"dead_at"`
}

func viewDeadLetter(d queue.DeadLetter) deadLetterView {
	return deadLetterView{
		ID: d.ID, Event: d.Event, OrgID: d.OrgID, Reason: d.Reason, Attempts: d.Attempts,
		LastStatus: orNull(d.LastStatus), LastError: orNull(d.LastError),
		PublishedAt: timeOrNull(d.PublishedAt), FirstSeenAt: timeOrNull(d.FirstSeenAt), DeadAt: timeOrNull(d.DeadAt),
	}
}

func (a *API) listDeadLetters(w http.ResponseWriter, r *http.Request, s scope) error {
	limit, cursor, err := paging(r)
	if err != nil {
		return err
	}
	org := s.org
	if s.face == adminFace && r.URL.Query().Has("org") {
		org = r.URL.Query().Get("org")
		if err := inAddress(config.CheckOrg(org)); err != nil {
			return err
		}
	}
	page, err := a.services.Queue.DeadLetters(r.Context(), org, limit, cursor)
	if err != nil {
		return err
	}
	return writePage(w, page, viewDeadLetter)
}

// replayBody is the body of a replay.
type replayBody struct {
	IDs    []string `json:"ids"`
	Org    *string  `json:"org"`
	All    bool     `json:"all"`
	Cursor string   `json:"cursor"`
}

// wish is what the body asks for within a scope; the queue judges it.
func (b replayBody) wish(s scope) (queue.Replay, error) {
	wish := queue.Replay{IDs: b.IDs, All: b.All, Cursor: b.Cursor}
	switch {
	case s.face == adminFace:
		if b.Org != nil {
			wish.Org = *b.Org
			return wish, config.CheckOrg(wish.Org) // here, since the queue cannot tell an empty one from none
		}
	case b.IDs != nil: // whose they are, a body under Developer Tools does not say
		wish.Org = s.org
	case b.All: // all that are its own
		wish.Org, wish.All = s.org, false
	}
	return wish, nil
}

// refusedView is an event that a replay left alone.
type refusedView struct {
	ID     string `json:"id"`
	OrgID  string `json:"org_id,omitempty"`
	Reason string `json:"reason"`
}

func (a *API) replayDeadLetters(w http.ResponseWriter, r *http.Request, s scope) error {
	var body replayBody
	if err := readBody(w, r, maxBody*4, &body); err != nil { // 1,000 ids of 128 characters
		return err
	}
	wish, err := body.wish(s)
	if err != nil {
		return err
	}
	done, err := a.services.Queue.Replay(r.Context(), wish)
	if err != nil {
		return err
	}
	refused := make([]refusedView, 0, len(done.Refused))
	for _, f := range done.Refused {
		view := refusedView{ID: f.ID, Reason: f.Reason}
		if s.face == adminFace {
			view.OrgID = f.OrgID
		}
		refused = append(refused, view)
	}
	return writeJSON(w, http.StatusOK, struct {
		Replayed   int           `json:"replayed"`
		Refused    []refusedView `json:"refused"`
		Remaining  int           `json:"remaining"`
		NextCursor *string       `json:"next_cursor"`
	}{done.Replayed, refused, done.Remaining, orNull(done.NextCursor)})
}

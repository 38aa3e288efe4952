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
	switch {
	case body.Event == "":
		return config.Invalid("event", "required", "name the event, such as note.finalized")
	case body.ID.set && !body.ID.null && !config.ValidID(body.ID.value):
		return config.Invalid("id", "invalid_id", "an event's id is 1 to 128 characters of A-Z a-z 0-9 . _ : -")
	case body.Payload.Kind() != '{':
		return config.Invalid("payload", "invalid_payload", "the payload must be a JSON object")
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
	IDs    *[]string `json:"ids"`
	Org    *string   `json:"org"`
	All    bool      `json:"all"`
	Cursor string    `json:"cursor"`
}

// wish is what the body asks for within a scope.
func (b replayBody) wish(s scope) (queue.Replay, error) {
	bad := func(code, field, detail string) error {
		return &config.Error{Status: http.StatusBadRequest, Code: code, Field: field, Detail: detail}
	}
	wish := queue.Replay{Limit: queue.MaxReplay, Cursor: b.Cursor}
	switch {
	case b.IDs != nil && b.All:
		return wish, bad("contradiction", "all", "name ids, or all, not both")
	case b.IDs != nil && len(*b.IDs) == 0:
		return wish, bad("nothing_named", "ids", "name the ids of the dead events to replay")
	case b.IDs != nil && len(*b.IDs) > queue.MaxReplay:
		return wish, bad("too_many_ids", "ids", "name at most 1,000 ids in one request")
	case b.IDs != nil:
		wish.IDs = *b.IDs
	case b.All:
		wish.All = true
	case b.Org == nil || s.face == toolsFace: // whose organization it is, a body under Developer Tools does not say
		return wish, bad("nothing_named", "", "name ids, an organization, or all")
	}
	if s.face == toolsFace {
		wish.Org, wish.All = s.org, false
		return wish, nil
	}
	if b.Org != nil {
		if wish.All {
			return wish, bad("contradiction", "all", "name an organization, or all, not both")
		}
		wish.Org = *b.Org
		return wish, config.CheckOrg(wish.Org)
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
	// What is no event id is not there; the queue is asked for the others only.
	refused := []refusedView{}
	var ids []string
	seen := map[string]bool{}
	for _, id := range wish.IDs {
		switch {
		case seen[id]:
		case config.ValidID(id):
			ids = append(ids, id)
		default:
			refused = append(refused, refusedView{ID: id, Reason: queue.RefusedNotFound})
		}
		seen[id] = true
	}
	var done queue.Replayed
	if wish.IDs == nil || len(ids) > 0 {
		wish.IDs = ids
		if done, err = a.services.Queue.Replay(r.Context(), wish); err != nil {
			return err
		}
	}
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

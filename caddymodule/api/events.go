package api

// Events: publishing, the delivery log, dead events and their replay.

import (
	"net/http"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/apimodel"
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

func (a *API) listDeliveries(w http.ResponseWriter, r *http.Request, s scope) error {
	limit, cursor, err := paging(r)
	if err != nil {
		return err
	}
	page, err := a.services.Queue.Deliveries(r.Context(), s.org, limit, cursor)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, apimodel.ListOf(page, apimodel.DeliveryOf))
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
	return writeJSON(w, http.StatusOK, apimodel.ListOf(page, apimodel.DeadLetterOf))
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
	if s.face == toolsFace { // whose they are is no question there
		for i := range done.Refused {
			done.Refused[i].OrgID = ""
		}
	}
	return writeJSON(w, http.StatusOK, apimodel.ReplayedOf(done))
}

package api

// This file publishes events, lists the delivery log and dead letters, and replays dead letters.

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
		Event   string           `json:"event"`
		ID      optional[string] `json:"id"`
		Payload jsontext.Value   `json:"payload"`
	}
	if err := readBody(w, r, maxEventBody, &body); err != nil {
		return err
	}
	// An empty id is most likely a mistake; the queue would accept it as none.
	if body.ID.set && !body.ID.null {
		if err := config.CheckEventID(body.ID.value); err != nil {
			return err
		}
	}
	event := queue.Event{Name: body.Event, OrgID: s.org, ID: body.ID.value, Payload: body.Payload}
	id, err := a.services.Queue.Publish(r.Context(), event)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusAccepted, apimodel.PublishedOf(id, a.services.Queue.Warnings(r.Context(), event)))
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
	if s.surface == adminSurface && r.URL.Query().Has("org") {
		org = r.URL.Query().Get("org")
		if err := asBadRequest(config.CheckOrg(org)); err != nil {
			return err
		}
	}
	page, err := a.services.Queue.DeadLetters(r.Context(), org, limit, cursor)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, apimodel.ListOf(page, apimodel.DeadLetterOf))
}

// replayBody is the body of a replay. Under Developer Tools `org` is an unknown member.
type replayBody struct {
	IDs    []string `json:"ids"`
	All    bool     `json:"all"`
	Cursor string   `json:"cursor"`
}

// adminReplay returns the replay that a body on the admin surface requests. The queue validates it.
func adminReplay(b replayBody, org *string) (queue.Replay, error) {
	request := queue.Replay{IDs: b.IDs, All: b.All, Cursor: b.Cursor}
	if org == nil {
		return request, nil
	}
	request.Org = *org
	return request, config.CheckOrg(*org) // here, because for the queue an empty one is none
}

// toolsReplay returns the replay that a body under Developer Tools requests, within org. The queue
// validates it.
func toolsReplay(b replayBody, org string) queue.Replay {
	request := queue.Replay{IDs: b.IDs, All: b.All, Cursor: b.Cursor}
	switch {
	case b.IDs != nil:
		request.Org = org
	case b.All: // all of the organization
		request.Org, request.All = org, false
	}
	return request
}

// readReplay reads the body of a replay within a scope.
func readReplay(w http.ResponseWriter, r *http.Request, s scope) (queue.Replay, error) {
	const limit = 4 * maxBody // 1,000 ids of 128 characters
	if s.surface == toolsSurface {
		var body replayBody
		err := readBody(w, r, limit, &body)
		return toolsReplay(body, s.org), err
	}
	var body struct {
		replayBody
		Org *string `json:"org"`
	}
	if err := readBody(w, r, limit, &body); err != nil {
		return queue.Replay{}, err
	}
	return adminReplay(body.replayBody, body.Org)
}

func (a *API) replayDeadLetters(w http.ResponseWriter, r *http.Request, s scope) error {
	request, err := readReplay(w, r, s)
	if err != nil {
		return err
	}
	done, err := a.services.Queue.Replay(r.Context(), request)
	if err != nil {
		return err
	}
	if s.surface == toolsSurface { // there is only one organization
		for i := range done.Refused {
			done.Refused[i].OrgID = ""
		}
	}
	return writeJSON(w, http.StatusOK, apimodel.ReplayedOf(done))
}

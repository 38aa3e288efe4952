package api

// This file serves the webhook of an organization. No answer contains its secret.

import (
	"net/http"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/apimodel"
	"github.com/tenzo-ai/tenzo-gateway/config/problem"
	"github.com/tenzo-ai/tenzo-gateway/config/webhook"
)

// webhookBody is the body of PUT and PATCH.
type webhookBody struct {
	URL    optional[string] `json:"url"`
	Secret optional[string] `json:"secret"`
	Active optional[bool]   `json:"active"`
}

// change returns the change that the body requests. Without `secret` the secret stays, and null
// removes it. An empty secret is most likely a mistake, so it is refused.
func (b webhookBody) change() (webhook.Change, error) {
	var (
		c   webhook.Change
		err error
	)
	if c.URL, err = b.URL.pointer("url"); err != nil {
		return c, err
	}
	if c.Active, err = b.Active.pointer("active"); err != nil {
		return c, err
	}
	switch {
	case b.Secret.null:
		c.Secret = new(string)
	case b.Secret.set && b.Secret.value == "":
		return c, problem.Invalid("secret", "invalid_secret", "the secret is empty: omit it to keep the current one, or send null to remove it")
	case b.Secret.set:
		c.Secret = &b.Secret.value
	}
	return c, nil
}

func (a *API) getWebhook(w http.ResponseWriter, r *http.Request, s scope) error {
	h, err := a.services.Webhooks.Get(r.Context(), s.org)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, apimodel.WebhookOf(h))
}

// putWebhook sets the whole webhook except the secret: absent members take their defaults.
func (a *API) putWebhook(w http.ResponseWriter, r *http.Request, s scope) error {
	return a.setWebhook(w, r, s, func(c *webhook.Change) (mustExist bool) {
		if c.Active == nil {
			active := true
			c.Active = &active
		}
		return false
	})
}

// patchWebhook changes the members that are present.
func (a *API) patchWebhook(w http.ResponseWriter, r *http.Request, s scope) error {
	return a.setWebhook(w, r, s, func(*webhook.Change) (mustExist bool) { return true })
}

func (a *API) setWebhook(w http.ResponseWriter, r *http.Request, s scope, complete func(*webhook.Change) (mustExist bool)) error {
	var body webhookBody
	if err := readBody(w, r, maxBody, &body); err != nil {
		return err
	}
	c, err := body.change()
	if err != nil {
		return err
	}
	mustExist := complete(&c)
	h, err := a.services.Webhooks.Set(r.Context(), s.org, c, mustExist)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, apimodel.WebhookOf(h))
}

func (a *API) deleteWebhook(w http.ResponseWriter, r *http.Request, s scope) error {
	if err := a.services.Webhooks.Delete(r.Context(), s.org); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// testWebhook sends one sample now and answers with the result.
func (a *API) testWebhook(w http.ResponseWriter, r *http.Request, s scope) error {
	var body struct {
		Event string `json:"event"`
	}
	if err := readBody(w, r, maxBody, &body); err != nil {
		return err
	}
	result, err := a.services.Tester.Test(r.Context(), s.org, body.Event)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, apimodel.TestOf(result))
}

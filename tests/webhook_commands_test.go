package tests

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// TestWebhookCommands sets, shows, tests and deletes a webhook with the commands.
func TestWebhookCommands(t *testing.T) {
	t.Parallel()
	h := newWebhookEnv(t, harness.ReceiverOptions{})
	run := func(args ...string) harness.Result {
		return command(t, h.redis.URL(), append([]string{"webhook"}, args...)...)
	}
	allow := []string{"--allow-networks", "127.0.0.0/8"}
	url := h.receiver.URL() + "/" + webhookToken

	wantRefusal(t, run("show", "--org", "acme"), "")
	wantRefusal(t, run("set", "--org", "acme", "--url", url), "127.0.0.1")
	wantRefusal(t, run("set", "--org", "acme", "--url", "http://example.com/"), "https")
	wantRefusal(t, run("set", "--org", "acme", "--url", url, "--secret", "plain-on-the-command-line"), "")
	file := scratch(t, "secret", webhookSecret+"\n")
	set := run(append([]string{"set", "--org", "acme", "--url", url, "--secret", "@" + file, "--json"}, allow...)...)
	if set.Status != 0 || strings.Contains(set.Stdout, webhookSecret) {
		t.Errorf("webhook set: %+v", set)
	}
	if got, err := h.rdb.HGet(t.Context(), "tenzo:webhook:acme", "secret").Result(); err != nil || got != webhookSecret {
		t.Errorf("the secret is %q, %v", got, err)
	}
	for _, step := range []struct{ command, active string }{{"disable", "0"}, {"enable", "1"}} {
		if c := run(step.command, "--org", "acme"); c.Status != 0 {
			t.Errorf("%s: %+v", step.command, c)
		}
		if got, err := h.rdb.HGet(t.Context(), "tenzo:webhook:acme", "active").Result(); err != nil || got != step.active {
			t.Errorf("after %s active is %q, %v", step.command, got, err)
		}
	}
	show := run("show", "--org", "acme", "--json")
	var view map[string]any
	if err := json.Unmarshal([]byte(show.Stdout), &view); err != nil || view["has_secret"] != true || view["url"] != url {
		t.Errorf("webhook show: %+v", show)
	}
	test := append([]string{"test", "--org", "acme", "--ca-file", h.receiver.CAFile(), "--event", "note.finalized"}, allow...)
	if c := run(test...); c.Status != 0 || !strings.Contains(c.Stdout, "200") {
		t.Errorf("webhook test: %+v", c)
	}
	h.receiver.SetAnswer(harness.Always(harness.Answer{Redirect: "/elsewhere"}))
	if c := run(test...); c.Status != 1 || !strings.Contains(c.Stdout+c.Stderr, "redirect") {
		t.Errorf("webhook test against a redirect: %+v", c)
	}
	if c := run("deliveries", "--org", "acme"); c.Status != 0 || !strings.Contains(c.Stdout, "302") {
		t.Errorf("webhook deliveries: %+v", c)
	}
	generated := run(append([]string{"set", "--org", "acme", "--url", url, "--generate-secret", "--json"}, allow...)...)
	if err := json.Unmarshal([]byte(generated.Stdout), &view); err != nil || !strings.HasPrefix(fmt.Sprint(view["secret"]), "whsec_") {
		t.Errorf("webhook set --generate-secret: %+v", generated)
	}
	if c := run("delete", "--org", "acme"); c.Status != 0 {
		t.Errorf("webhook delete: %+v", c)
	}
	wantRefusal(t, run("show", "--org", "acme"), "")
	wantRefusal(t, run("test", "--org", "acme"), "")

	// Publish from a file and from standard input.
	payload := scratch(t, "event.json", `{"call_id":"c1"}`)
	if c := command(t, h.redis.URL(), "events", "publish", "--org", "acme", "--event", "interview.results", "--id", "c1", payload); c.Status != 0 {
		t.Errorf("events publish: %+v", c)
	}
	c := harness.RunGateway(t, []string{"TENZO_REDIS_URL=" + h.redis.URL()}, `{"call_id":"c2"}`,
		"events", "publish", "--org", "acme", "--event", "interview.results", "--json", "-")
	if c.Status != 0 {
		t.Errorf("events publish: %+v", c)
	}
	if n, err := h.rdb.XLen(t.Context(), "tenzo:events").Result(); err != nil || n != 2 {
		t.Errorf("%d events were published, %v", n, err)
	}
	wantRefusal(t, command(t, h.redis.URL(), "events", "publish", "--org", "acme", "--event", "interview.results", scratch(t, "x", "{")), "")
}

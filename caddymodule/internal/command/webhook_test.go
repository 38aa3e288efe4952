package command

import (
	"strings"
	"testing"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

type webhookJSON struct {
	OrgID     string `json:"org_id"`
	URL       string `json:"url"`
	HasSecret bool   `json:"has_secret"`
	Active    bool   `json:"active"`
	Secret    string `json:"secret"`
}

func TestWebhookSetAndShow(t *testing.T) {
	r := startStore(t)
	refused(t, "acme has no webhook", "webhook", "show", "--org", "acme")
	refused(t, "acme has no webhook", "webhook", "disable", "--org", "acme")
	refused(t, "acme has no webhook", "webhook", "delete", "--org", "acme")

	set := []string{"webhook", "set", "--org", "acme", "--url", "https://hooks.example.com/x"}
	made := decode[webhookJSON](t, must(t, "", append(set, "--generate-secret", "--json")...))
	if !strings.HasPrefix(made.Secret, "whsec_") || !made.Active || !made.HasSecret {
		t.Fatalf("set %+v", made)
	}
	stored := func() string {
		t.Helper()
		secret, _ := r.Client(t).HGet(t.Context(), "tenzo:webhook:acme", "secret").Result()
		return secret
	}
	if stored() != made.Secret {
		t.Error("another secret is stored than was shown")
	}
	shown := must(t, "", "webhook", "show", "--org", "acme") + must(t, "", "webhook", "show", "--org", "acme", "--json")
	if strings.Contains(shown, made.Secret) || !strings.Contains(shown, `"has_secret":true`) {
		t.Errorf("shown as %s", shown)
	}

	// Without a flag for it, the secret stays. The last newline of a file is not part of the
	// secret.
	must(t, "", append(set, "--active=false")...)
	if stored() != made.Secret {
		t.Error("the secret did not stay")
	}
	if h := decode[webhookJSON](t, must(t, "", "webhook", "show", "--org", "acme", "--json")); h.Active {
		t.Error("it is active though it was told not to be")
	}
	must(t, "", append(set, "--secret", "@"+write(t, "from a file, 24 bytes at least\n"))...)
	if stored() != "from a file, 24 bytes at least" {
		t.Errorf("stored %q", stored())
	}
	must(t, "from standard input, long\r\n", append(set, "--secret", "-")...)
	if stored() != "from standard input, long" {
		t.Errorf("stored %q", stored())
	}
	must(t, "", append(set, "--no-secret")...)
	if stored() != "" {
		t.Errorf("stored %q", stored())
	}

	must(t, "", "webhook", "disable", "--org", "acme")
	must(t, "", "webhook", "enable", "--org", "acme")
	if h := decode[webhookJSON](t, must(t, "", "webhook", "show", "--org", "acme", "--json")); !h.Active || h.URL != "https://hooks.example.com/x" {
		t.Errorf("enabled as %+v", h)
	}
	must(t, "", "webhook", "delete", "--org", "acme")
	refused(t, "acme has no webhook", "webhook", "show", "--org", "acme")
}

func TestWebhookSetRefusals(t *testing.T) {
	startStore(t)
	set := func(args ...string) []string { return append([]string{"webhook", "set", "--org", "acme"}, args...) }
	refused(t, "HTTPS", set("--url", "http://hooks.example.com/")...)
	refused(t, "127.0.0.1", set("--url", "https://127.0.0.1/")...)
	refused(t, `"url" not set`, set()...)
	refused(t, "process list", set("--url", "https://hooks.example.com/", "--secret", "hunter2hunter2hunter2hunter2")...)
	refused(t, "secret", set("--url", "https://hooks.example.com/", "--no-secret", "--generate-secret")...)
	refused(t, "CIDR", set("--url", "https://hooks.example.com/", "--allow-networks", "here")...)
	must(t, "", set("--url", "http://127.0.0.1:8000/", "--allow-http", "--allow-networks", "127.0.0.0/8,::1/128")...)
}

func TestWebhookTest(t *testing.T) {
	startStore(t)
	receiver := harness.NewReceiver(t, harness.ReceiverOptions{})
	allow := []string{"--allow-networks", "127.0.0.0/8", "--ca-file", receiver.CAFile()}
	refused(t, "webhook", append([]string{"webhook", "test", "--org", "acme"}, allow...)...)
	must(t, "", append([]string{"webhook", "set", "--org", "acme", "--url", receiver.URL() + "/hook?token=t0ken", "--generate-secret"}, allow...)...)
	test := append([]string{"webhook", "test", "--org", "acme"}, allow...)

	out := must(t, "", test...)
	if receiver.Count() != 1 || !strings.Contains(out, "Acknowledged") {
		t.Errorf("%d requests, and said:\n%s", receiver.Count(), out)
	}
	type testJSON struct {
		Acknowledged bool    `json:"acknowledged"`
		Status       *int    `json:"status"`
		Error        *string `json:"error"`
		DurationMS   *int64  `json:"duration_ms"`
	}
	if got := decode[testJSON](t, must(t, "", append(test, "--json", "--event", "interview.results")...)); !got.Acknowledged || *got.Status != 200 || got.Error != nil || got.DurationMS == nil {
		t.Errorf("said %+v", got)
	}

	receiver.SetAnswer(harness.Always(harness.Answer{Status: 500}))
	r := run(t, "", test...)
	if r.err == nil || !strings.Contains(r.err.Error(), "500") || strings.Contains(r.err.Error()+r.stdout, "t0ken") {
		t.Errorf("a refused test said %v and:\n%s", r.err, r.stdout)
	}
	failed := run(t, "", append(test, "--json")...)
	if got := decode[testJSON](t, failed.stdout); failed.err == nil || got.Acknowledged || *got.Status != 500 || got.Error == nil {
		t.Errorf("a refused test said %v and %+v", failed.err, got)
	}
	// Without the flags, the address is refused and nothing is sent.
	before := receiver.Count()
	refused(t, "127.0.0.1", "webhook", "test", "--org", "acme")
	if receiver.Count() != before {
		t.Error("a refused address was reached")
	}

	table := must(t, "", "webhook", "deliveries", "--org", "acme")
	if !strings.Contains(table, "test") || !strings.Contains(table, "500") {
		t.Errorf("the deliveries are:\n%s", table)
	}
	list := decode[struct{ Items []map[string]any }](t, must(t, "", "webhook", "deliveries", "--org", "acme", "--json", "--limit", "2"))
	if len(list.Items) != 2 {
		t.Errorf("listed %v", list.Items)
	}
}

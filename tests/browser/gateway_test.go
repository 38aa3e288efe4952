package browser

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// gateway is the built tenzo-gateway with two sites: the page for the organization demo, in a
// folder, and an API behind tenzo_auth.
type gateway struct {
	*harness.Gateway
	t     *testing.T
	api   string // the URL of the API
	tools string // the URL of the page, without its trailing slash
}

// startGateway starts a gateway with a Redis of its own. Its webhooks may go to receiver.
func startGateway(t *testing.T, receiver *harness.Receiver) *gateway {
	t.Helper()
	r := harness.StartRedis(t)
	r.Mark()
	api, tools, status := harness.FreePort(t), harness.FreePort(t), harness.FreePort(t)
	g := &gateway{t: t, api: fmt.Sprintf("http://127.0.0.1:%d/", api), tools: fmt.Sprintf("http://127.0.0.1:%d/settings/developer-tools", tools)}
	g.Gateway = harness.StartGateway(t, harness.GatewayOptions{
		Env:   []string{"TENZO_REDIS_URL=" + r.URL()},
		Ready: fmt.Sprintf("http://127.0.0.1:%d/readyz", status),
		Caddyfile: fmt.Sprintf(`{
	admin {$TENZO_TEST_ADMIN}
	auto_https off
	grace_period 5s
	tenzo {
		webhooks {
			retry_backoff 0s 100ms 200ms
			timeout 5s
			allow_networks 127.0.0.0/8
			ca_file %s
		}
	}
}
http://:%d {
	bind 127.0.0.1
	tenzo_auth
	respond "welcome {http.auth.user.org_id}"
}
http://:%d {
	bind 127.0.0.1
	vars org demo
	handle_path /settings/developer-tools* {
		tenzo_developer_tools {
			org {vars.org}
			source_addresses 203.0.113.7
		}
	}
}
http://:%d {
	bind 127.0.0.1
	tenzo_health
}
`, receiver.CAFile(), api, tools, status),
	})
	return g
}

// use sends a request with a key, and returns the status and the body.
func (g *gateway) use(key string) (int, string) {
	g.t.Helper()
	req, err := http.NewRequestWithContext(g.t.Context(), http.MethodGet, g.api, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// A key is created on the page, used at the gateway, shown as used, and revoked.
func TestKeyFromPageToGateway(t *testing.T) {
	g := startGateway(t, harness.NewReceiver(t, harness.ReceiverOptions{}))
	b := newTab(t, 1280)
	b.open(g.tools) // without the trailing slash
	if got := eval[string](b, "location.href"); got != g.tools+"/" {
		t.Errorf("the page is at %s", got)
	}
	b.click("button", "Generate New Key")
	b.fill("textbox", "Key name", "Production Integration")
	b.click("button", "Generate key")
	b.find("button", "Copy")
	key := b.text("#generated-key")
	b.click("button", "Done")
	b.rowShows("Production Integration", "Never 0 Active")

	if status, body := g.use(key); status != http.StatusOK || body != "welcome demo" {
		t.Fatalf("%d %s", status, body)
	}
	b.rowShows("Production Integration", " 1 Active")
	b.rowShows("Production Integration", time.Now().Format("2006")) // last used
	for range 4 {
		g.use(key)
	}
	b.rowShows("Production Integration", " 5 Active")

	b.click("button", "Revoke")
	b.click("button", "Revoke key")
	b.rowShows("Production Integration", "Revoked")
	harness.Eventually(t, 60*time.Second, func() error {
		if status, body := g.use(key); status != http.StatusUnauthorized || !strings.Contains(body, "revoked_api_key") {
			return fmt.Errorf("a revoked key is answered %d %s", status, body)
		}
		return nil
	})
	if strings.Contains(g.Log().String(), key) {
		t.Error("the key is in the log")
	}
}

// The webhook is set on the page. Test events, deliveries, failures and their redelivery go to a
// real receiver over TLS.
func TestWebhookFromPageToReceiver(t *testing.T) {
	receiver := harness.NewReceiver(t, harness.ReceiverOptions{Answer: harness.Always(harness.Answer{Status: 202})})
	g := startGateway(t, receiver)
	b := newTab(t, 1280)
	b.open(g.tools + "/#webhooks")
	b.fill("textbox", "Webhook URL", receiver.URL()+"/tenzo")
	b.click("button", "Generate")
	secret := eval[string](b, "document.querySelector('#secret').value")
	b.click("switch", "Enable webhook delivery")
	b.click("button", "Save Configuration")
	b.see("Configuration saved. Webhook delivery is active.")

	for i, event := range []string{"interview.results", "note.finalized"} {
		eval[bool](b, "document.querySelector('#event').value = "+quote(event)+", true")
		b.click("button", "Send test event")
		got := receiver.Wait(i+1, uiTimeout)[i]
		if got.Header.Get("X-Webhook-Event") != event || got.Header.Get("X-Webhook-Signature") != sign(got.Body, secret) {
			t.Errorf("the test of %s arrived as %v", event, got.Header)
		}
		harness.Eventually(t, uiTimeout, func() error {
			if rows := eval[int](b, "document.querySelectorAll('#deliveries tbody tr').length"); rows != i+1 {
				return fmt.Errorf("%d deliveries show", rows)
			}
			return nil
		})
		b.see("Acknowledged Your endpoint answered 202")
	}
	b.see("Test 202")

	receiver.SetAnswer(harness.Always(harness.Answer{Status: 500}))
	b.click("button", "Send test event")
	b.see("Not acknowledged Your endpoint answered 500")
	g.publish("demo", `{"event": "note.finalized", "id": "note-42", "payload": {"noteId": "note-42", "meeting": {"type": "intake"}}}`)
	b.see("note-42")
	b.see("No attempt was acknowledged")
	b.state("gateway-dead")
	tried := receiver.Count()
	if tried != 2+1+4 {
		t.Errorf("%d requests were made", tried)
	}
	receiver.SetAnswer(harness.Always(harness.Answer{Status: 204}))
	b.click("button", "Redeliver")
	b.see("Queued for redelivery.")
	last := receiver.Wait(tried+1, uiTimeout)[tried]
	if last.Header.Get("Webhook-Id") != "note-42" || last.Header.Get("X-Webhook-Signature") != sign(last.Body, secret) {
		t.Errorf("redelivered as %v", last.Header)
	}
	b.see("No undelivered events.")
	b.see("204")
	if strings.Contains(g.Log().String(), secret) {
		t.Error("the secret is in the log")
	}
}

// publish publishes an event through the admin endpoint.
func (g *gateway) publish(org, body string) {
	g.t.Helper()
	resp, err := http.Post(g.Admin()+"/tenzo/orgs/"+org+"/events", "application/json", strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusAccepted {
		text, _ := io.ReadAll(resp.Body)
		g.t.Fatalf("publishing: %d %s", resp.StatusCode, text)
	}
}

// sign returns the expected X-Webhook-Signature.
func sign(body []byte, secret string) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// The default Caddyfile serves the page of its demo organization, and its gateway admits a key that
// is created there.
func TestDefaultCaddyfile(t *testing.T) {
	port := func() string { return fmt.Sprint(harness.FreePort(t)) }
	gatewayPort, tools, status := port(), port(), port()
	harness.StartGateway(t, harness.GatewayOptions{
		Args: []string{"run", "--config", filepath.Join(harness.Root(t), "Caddyfile")},
		Env: []string{
			"TENZO_REDIS_URL=embedded", "TENZO_EMBEDDED_ADDR=" + harness.FreeAddr(t), "TENZO_GATEWAY_PORT=" + gatewayPort,
			"TENZO_TOOLS_PORT=" + tools, "TENZO_STATUS_PORT=" + status, "TENZO_ADMIN_PORT=" + port(),
		},
		Ready: "http://127.0.0.1:" + status + "/readyz",
	})
	b := newTab(t, 1280)
	b.open("http://localhost:" + tools)
	b.see("Organization demo")
	b.click("button", "Generate New Key")
	b.fill("textbox", "Key name", "Mine")
	b.click("button", "Generate key")
	b.find("button", "Copy")
	key := b.text("#generated-key")
	b.click("button", "Done")
	g := &gateway{t: t, api: "http://localhost:" + gatewayPort + "/jobs"}
	if status, body := g.use(key); status != http.StatusOK || !strings.Contains(body, `"organization":"demo"`) {
		t.Errorf("%d %s", status, body)
	}
	b.rowShows("Mine", " 1 Active")
	b.click("link", "Webhooks")
	b.find("textbox", "Webhook URL")
	b.state("default-webhooks")
}

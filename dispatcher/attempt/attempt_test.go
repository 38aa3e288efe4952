package attempt

import (
	"net/http"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"go.uber.org/goleak"

	"github.com/tenzo-ai/tenzo-gateway/config/address"
	"github.com/tenzo-ai/tenzo-gateway/config/webhook"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// loopback lets tests reach this machine.
var loopback = &address.Policy{AllowHTTP: true, AllowNetworks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}}

// newSender returns a sender that trusts ca (nil: the system), and closes it with the test.
func newSender(t testing.TB, ca *harness.CA, change ...func(*Options)) *Sender {
	o := Options{Policy: loopback, Version: "1.2.3", Timeout: 20 * time.Second}
	if ca != nil {
		o.RootCAs = ca.Pool()
	}
	for _, c := range change {
		c(&o)
	}
	s := NewSender(o)
	t.Cleanup(s.Close)
	return s
}

func timeout(d time.Duration) func(*Options) { return func(o *Options) { o.Timeout = d } }

func to(url, secret string) Request {
	return Request{
		Webhook: webhook.Webhook{OrgID: "acme", URL: url + "/hook/TOKEN?key=TOKEN", Secret: webhook.NewSecret(secret), Active: true},
		Event:   "note.finalized",
		ID:      "note-1",
		Body:    []byte(`{"event":"note.finalized","noteId":"note-1","summary":"Grüße 😀"}`),
	}
}

func send(t *testing.T, s *Sender, r Request) Result {
	t.Helper()
	result := s.Send(t.Context(), r)
	if strings.Contains(result.Error, "TOKEN") || strings.Contains(result.Error, "SECRET") {
		t.Errorf("the description reveals a secret: %s", result.Error)
	}
	if result.Acknowledged != (result.Class == Acknowledged) || result.Acknowledged != (result.Error == "") {
		t.Errorf("contradictory result: %+v", result)
	}
	return result
}

func TestRequestMatchesTheSpecification(t *testing.T) {
	recv := harness.NewReceiver(t, harness.ReceiverOptions{})
	s := newSender(t, recv.CA(), func(o *Options) { o.Now = func() time.Time { return time.Unix(1_800_000_000, 0) } })
	s.tls.Time = time.Now // the clock of certificates stays real
	signed := to(recv.URL(), "SECRET")
	plain := to(recv.URL(), "")
	for _, r := range []Request{signed, plain} {
		if result := send(t, s, r); !result.Acknowledged || result.Status != 200 {
			t.Fatalf("%+v", result)
		}
	}
	for i, got := range recv.Wait(2, 5*time.Second) {
		if got.Method != http.MethodPost || got.Path != "/hook/TOKEN?key=TOKEN" || got.Proto != "HTTP/1.1" || string(got.Body) != string(signed.Body) {
			t.Errorf("%d: %s %s %s %s", i, got.Method, got.Path, got.Proto, got.Body)
		}
		want := map[string]string{
			"Content-Type":      "application/json",
			"User-Agent":        "Tenzo-Webhooks/1.2.3",
			"X-Webhook-Event":   "note.finalized",
			"Webhook-Id":        "note-1",
			"Webhook-Timestamp": "1800000000",
			"Content-Length":    strconv.Itoa(len(signed.Body)),
		}
		if i == 0 {
			want["X-Webhook-Signature"] = newSigner("SECRET").signBody(signed.Body)
			want["Webhook-Signature"] = newSigner("SECRET").signStandard("note-1", "1800000000", signed.Body)
		}
		for name, values := range got.Header {
			if len(values) != 1 || values[0] != want[name] {
				t.Errorf("%d: %s: %q, want %q", i, name, values, want[name])
			}
			delete(want, name)
		}
		for name := range want {
			t.Errorf("%d: no %s", i, name)
		}
	}
}

// documentedPython is the verification function of the customers' documentation, verbatim.
const documentedPython = `
import hmac
import hashlib

def verify_signature(payload, signature, secret):
    expected = hmac.new(
        secret.encode('utf-8'),
        payload.encode('utf-8'),
        hashlib.sha256
    ).hexdigest()
    return hmac.compare_digest(expected, signature)

import sys
payload, signature, secret = sys.stdin.buffer.read().decode('utf-8').split('\0')
print(verify_signature(payload, signature, secret))
`

func TestSignatureVerifiesWithDocumentedPython(t *testing.T) {
	recv := harness.NewReceiver(t, harness.ReceiverOptions{})
	s := newSender(t, recv.CA())
	for i, secret := range []string{"s3cret", "geheim-äöü-😀", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"} {
		r := to(recv.URL(), secret)
		send(t, s, r)
		got := recv.Wait(i+1, 5*time.Second)[i]
		verify := func(body, signature, secret string) string {
			python := exec.CommandContext(t.Context(), "python3", "-c", documentedPython)
			python.Stdin = strings.NewReader(body + "\x00" + signature + "\x00" + secret)
			out, err := python.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			return strings.TrimSpace(string(out))
		}
		signature := got.Header.Get("X-Webhook-Signature")
		if out := verify(string(got.Body), signature, secret); out != "True" {
			t.Errorf("%s: %s", secret, out)
		}
		if out := verify(string(got.Body)+" ", signature, secret); out != "False" {
			t.Errorf("%s: a changed body verifies: %s", secret, out)
		}
	}
}

func TestSignatureVerifiesWithStandardWebhooks(t *testing.T) {
	recv := harness.NewReceiver(t, harness.ReceiverOptions{})
	s := newSender(t, recv.CA())
	for i, secret := range []string{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "s3cret-ü", "whsec_no base64!", "whsec_"} {
		send(t, s, to(recv.URL(), secret))
		got := recv.Wait(i+1, 5*time.Second)[i]
		library, err := standardwebhooks.NewWebhookRaw([]byte(secret))
		if i == 0 {
			library, err = standardwebhooks.NewWebhook(secret)
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := library.Verify(got.Body, got.Header); err != nil {
			t.Errorf("%s: %v", secret, err)
		}
	}
}

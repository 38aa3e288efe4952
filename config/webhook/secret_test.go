package webhook

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/tenzo-ai/tenzo-gateway/config/problem"
)

func TestSecretIsNeverShown(t *testing.T) {
	const text = "hunter2-hunter2"
	s := NewSecret(text)
	w := Webhook{OrgID: "acme", Secret: s}
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	logger.Info("x", "secret", s, "webhook", w, "pointer", &s)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", s, "webhook", w, "pointer", &s)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T"} {
		fmt.Fprintf(&log, verb+verb+verb, s, &s, w)
	}
	fmt.Fprint(&log, s.String(), s.GoString(), fmt.Errorf("x %w", fmt.Errorf("%v", s)))
	for _, v := range []any{s, &s, w, map[string]any{"s": s}} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		log.Write(b)
	}
	for _, bad := range []string{text, "68756e74", "68756E74", "104 117"} {
		if strings.Contains(log.String(), bad) {
			t.Errorf("shown: %s", log.String())
		}
	}
	if !strings.Contains(log.String(), "[redacted]") || s.Reveal() != text || !s.IsSet() || NewSecret("").IsSet() {
		t.Error("the secret itself is gone")
	}
}

func TestSecretRules(t *testing.T) {
	for range 20 {
		s := GenerateSecret()
		if err := checkSecret(s); err != nil {
			t.Errorf("%v", err)
		}
		if _, err := standardwebhooks.NewWebhook(s); err != nil {
			t.Errorf("the library of Standard Webhooks refuses it: %v", err)
		}
	}
	for s, ok := range map[string]bool{
		"x": true, "correct horse battery staple": true, "pässword": true, strings.Repeat("x", 512): true, "WHSEC_x": true,
		// Of the specification's own example: 24 bytes.
		"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw": true,
		strings.Repeat("x", 513):                 false, " x": false, "x\n": false, "a\nb": false, "a\x00b": false, "a\xff": false,
		"whsec_": false, "whsec_!": false, "whsec_c2hvcnQ=": false, "whsec_" + strings.Repeat("AAAA", 22): false, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS": false,
	} {
		err := checkSecret(s)
		if (err == nil) != ok {
			t.Errorf("%q: %v", s, err)
		}
		if e, is := errors.AsType[*problem.Error](err); err != nil && (!is || e.Field != "secret" || len(s) > 8 && strings.Contains(e.Detail, s)) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

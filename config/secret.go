package config

// This file is about a webhook's secret: what it may be, and that nothing shows it.

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"unicode/utf8"

	"github.com/tenzo-ai/tenzo-gateway/config/problem"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// StandardSecretPrefix begins a secret of the Standard Webhooks; base64 follows.
const StandardSecretPrefix = "whsec_"

const (
	maxSecret = 512 // bytes
	// Standard Webhooks (spec/standard-webhooks.md, "Signature scheme") has secrets of 24 to 64 bytes. A whsec_ secret that is outside of
	// that, or not base64, is most likely one cut short in copying, and libraries of receivers may refuse it; whoever wants another
	// secret leaves the prefix out.
	minStandardSecret = 24
	maxStandardSecret = 64
	generatedSecret   = 32
)

const redacted = "[redacted]"

// Secret is a webhook's secret. It prints, logs and marshals as "[redacted]"; Reveal gives it away.
type Secret struct{ value string }

// NewSecret wraps a secret.
func NewSecret(s string) Secret { return Secret{s} }

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return s.value }

// IsSet says whether there is a secret.
func (s Secret) IsSet() bool { return s.value != "" }

// Equal says whether both are the same secret; go-cmp uses it.
func (s Secret) Equal(other Secret) bool { return s.value == other.value }

// String never shows the secret.
func (s Secret) String() string {
	if s.value == "" {
		return ""
	}
	return redacted
}

// GoString never shows the secret.
func (s Secret) GoString() string { return s.String() }

// Format never shows the secret, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue never shows the secret.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText never shows the secret, in JSON and elsewhere.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// GenerateSecret returns a new `whsec_` secret of 32 random bytes.
func GenerateSecret() string {
	b := make([]byte, generatedSecret)
	_, _ = rand.Read(b) // never fails
	return StandardSecretPrefix + base64.StdEncoding.EncodeToString(b)
}

// checkSecret refuses a secret that cannot work.
func checkSecret(s string) error {
	refuse := func(detail string) error { return problem.Invalid(store.WebhookSecret, "invalid_secret", detail) }
	switch {
	case len(s) > maxSecret:
		return refuse("the secret must be at most 512 bytes long")
	case !utf8.ValidString(s):
		return refuse("the secret must be valid UTF-8")
	case strings.TrimSpace(s) != s:
		return refuse("the secret must not begin or end with a space or a line break")
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return refuse("the secret must not hold control characters or line breaks")
	}
	encoded, standard := strings.CutPrefix(s, StandardSecretPrefix)
	if !standard {
		return nil
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return refuse("a secret that begins with whsec_ must go on in base64 (with its padding): it looks cut short or mistyped")
	}
	if len(key) < minStandardSecret || len(key) > maxStandardSecret {
		return refuse("a secret that begins with whsec_ must hold 24 to 64 bytes in base64, as Standard Webhooks has it; leave the prefix out for any other")
	}
	return nil
}

package webhook

// This file is about the secret of a webhook: which secrets are allowed, and that nothing shows
// one.

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

// StandardSecretPrefix begins a secret of the Standard Webhooks. Base64 follows it.
const StandardSecretPrefix = "whsec_"

const (
	maxSecret = 512 // bytes
	// Secrets of the Standard Webhooks have 24 to 64 bytes (spec/standard-webhooks.md, "Signature
	// scheme"). A whsec_ secret of another length, or one that is not base64, was most likely cut
	// short when it was copied, and libraries of receivers may refuse it. Other secrets have no
	// prefix.
	minStandardSecret = 24
	maxStandardSecret = 64
	generatedSecret   = 32
)

const redacted = "[redacted]"

// Secret is the secret of a webhook. It prints, logs and marshals as "[redacted]"; only Reveal
// returns it.
type Secret struct{ value string }

// NewSecret wraps a secret.
func NewSecret(s string) Secret { return Secret{s} }

// Reveal returns the secret itself.
func (s Secret) Reveal() string { return s.value }

// IsSet reports whether there is a secret.
func (s Secret) IsSet() bool { return s.value != "" }

// Equal reports whether both are the same secret; go-cmp uses it.
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

// checkSecret refuses a secret that receivers or this program could not use.
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
		return refuse("the secret must not contain control characters or line breaks")
	}
	encoded, standard := strings.CutPrefix(s, StandardSecretPrefix)
	if !standard {
		return nil
	}
	key, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return refuse("a secret that begins with whsec_ must continue in base64 with its padding: it looks cut short or mistyped")
	}
	if len(key) < minStandardSecret || len(key) > maxStandardSecret {
		return refuse("a secret that begins with whsec_ must hold 24 to 64 bytes in base64, as Standard Webhooks requires; leave the prefix out for any other secret")
	}
	return nil
}

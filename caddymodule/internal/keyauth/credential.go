package keyauth

import (
	"log/slog"
	"strings"

	"github.com/tenzo-ai/tenzo-gateway/config/apikey"
)

// This file turns the Authorization header into a credential or a refusal. It is pure, and its
// input are bytes that anybody may send.

// credential is a well-formed key as a client sent it. It prints and logs as "[redacted]".
type credential struct {
	key string // prefix, then 16 to 200 characters of A-Z a-z 0-9 _ -
}

// String hides the key.
func (credential) String() string { return "[redacted]" }

// GoString hides the key.
func (credential) GoString() string { return "[redacted]" }

// LogValue hides the key.
func (credential) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// subject identifies the key by its hint.
func (c credential) subject() *Subject {
	return &Subject{Hint: apikey.Prefix + "..." + c.key[len(c.key)-4:]}
}

// parseAuthorization reads the values of a request's Authorization header, one a line: `Bearer
// <key>`, with the scheme in any case, or the bare key. Spaces around either are ignored. On
// success it allocates nothing.
func parseAuthorization(values []string) (credential, *Refusal) {
	switch len(values) {
	case 0:
		return credential{}, refuseMissing
	case 1:
	default:
		return credential{}, refuseRepeated
	}
	token := strings.Trim(values[0], " ")
	if len(token) > len(bearer) && token[len(bearer)] == ' ' && strings.EqualFold(token[:len(bearer)], bearer) {
		token = strings.TrimLeft(token[len(bearer):], " ")
	}
	if apikey.Valid(token) {
		return credential{token}, nil
	}
	return credential{}, diagnose(values[0])
}

const bearer = "Bearer"

// diagnose returns the refusal of a value that holds no whole key.
func diagnose(value string) *Refusal {
	for i := range len(value) {
		if value[i] < ' ' || value[i] > '~' {
			return refuseBytes
		}
	}
	value = strings.Trim(value, " ")
	if value == "" {
		return refuseMissing
	}
	scheme, token, _ := strings.Cut(value, " ")
	token = strings.TrimLeft(token, " ")
	switch {
	case hasFold(scheme, apikey.Prefix): // a bare key with a space or another character in it
		return diagnoseKey(value)
	case strings.EqualFold(scheme, bearer) && token == "":
		return malformedEmpty
	case strings.EqualFold(scheme, bearer):
		return diagnoseKey(token)
	case token == "":
		return diagnoseKey(value)
	default:
		return malformedScheme
	}
}

// diagnoseKey returns the refusal of a malformed key.
func diagnoseKey(token string) *Refusal {
	const prefix = apikey.Prefix
	if !strings.HasPrefix(token, prefix) {
		switch {
		case hasFold(token, bearer+" "):
			return malformedTwice
		case strings.HasPrefix(prefix, token):
			return malformedShort
		case hasFold(token, prefix):
			return malformedCase
		case strings.ContainsAny(token[:1], `"'<{$[(`):
			return malformedCharacter
		default:
			return malformedPrefix
		}
	}
	for i := len(prefix); i < min(len(token), apikey.MaxLength); i++ {
		switch {
		case token[i] == ',':
			return malformedList
		case !apikey.ValidByte(token[i]):
			return malformedCharacter
		}
	}
	if len(token) > apikey.MaxLength {
		return malformedLong
	}
	return malformedShort
}

// hasFold is strings.HasPrefix, ignoring the case of ASCII letters.
func hasFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

package store

// This file finds the Redis URL: a flag, a file, the environment, or the word `embedded`.

import (
	"fmt"
	"os"
	"strings"
)

// EmbeddedWord is the value that means the embedded server (specification.md, section 4). It is
// never a default of the binary.
const EmbeddedWord = "embedded"

// EmbeddedAddr is where the embedded server listens unless TENZO_EMBEDDED_ADDR moves it.
const EmbeddedAddr = "127.0.0.1:36379"

// EmbeddedURL is the URL of the embedded server of this machine.
func EmbeddedURL() string {
	addr := os.Getenv("TENZO_EMBEDDED_ADDR")
	if addr == "" {
		addr = EmbeddedAddr
	}
	return "redis://" + addr
}

// ResolveURL returns the Redis URL that an operator's value means: `@file` is the content of that
// file, `embedded` the address of the embedded server, and nothing is $TENZO_REDIS_URL (which may
// be either of these) or else the address of the embedded server (specification.md, section 9). It
// reads the file and the environment and dials nothing. Its errors never show the value.
func ResolveURL(value string) (string, error) {
	if value == "" {
		value = os.Getenv("TENZO_REDIS_URL")
	}
	if path, isFile := strings.CutPrefix(value, "@"); isFile {
		content, err := readSecret(path)
		if err != nil {
			return "", fmt.Errorf("reading the redis URL: %w", err)
		}
		value = strings.TrimSpace(content)
		if value == "" {
			return "", fmt.Errorf("reading the redis URL: %s is empty", path)
		}
	}
	if value == "" || value == EmbeddedWord {
		return EmbeddedURL(), nil
	}
	return value, nil
}

// LiteralPassword reports whether a Redis URL contains a literal password. Placeholders in braces,
// such as `{env.PASSWORD}`, are not literal. It checks the text as it was written, before
// placeholders are replaced, even if it is not a URL yet.
func LiteralPassword(raw string) bool {
	raw = withoutPlaceholders(raw)
	_, rest, found := strings.Cut(raw, "://")
	if !found {
		return false
	}
	before, query, _ := strings.Cut(rest, "?")
	if at := strings.LastIndexByte(query, '@'); at >= 0 && !strings.Contains(query[:at], "=") {
		before, query = rest, "" // a password with a ? in it, not yet percent-encoded
	}
	if at := strings.LastIndexByte(before, '@'); at >= 0 {
		if _, password, _ := strings.Cut(before[:at], ":"); password != "" {
			return true
		}
	}
	for pair := range strings.SplitSeq(query, "&") {
		if name, value, _ := strings.Cut(pair, "="); name == "password" && value != "" {
			return true
		}
	}
	return false
}

func withoutPlaceholders(s string) string {
	var out strings.Builder
	for {
		before, after, open := strings.Cut(s, "{")
		out.WriteString(before)
		if !open {
			return out.String()
		}
		_, rest, closed := strings.Cut(after, "}")
		if !closed {
			out.WriteString(after)
			return out.String()
		}
		s = rest
	}
}

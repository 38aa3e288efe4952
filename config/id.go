package config

import (
	"crypto/rand"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/tenzo-ai/tenzo-gateway/config/problem"
)

// The bounds of ids and names (specification.md, section 4).
const (
	maxID   = 128 // bytes
	maxName = 100 // characters
)

// idForm says to people what ValidID says to programs.
const idForm = "1 to 128 characters of A-Z a-z 0-9 . _ : -"

// ValidID says whether s can be the id of an organization, a key or an event: 1 to 128 characters of A-Z a-z 0-9 . _ : -
func ValidID(s string) bool {
	if len(s) < 1 || len(s) > maxID {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !isAlphanumeric(c) && c != '.' && c != '_' && c != ':' && c != '-' {
			return false
		}
	}
	return true
}

// CheckEventID refuses what is no event's id, with an *Error.
func CheckEventID(id string) error {
	if ValidID(id) {
		return nil
	}
	return problem.Invalid("id", "invalid_id", "an event's id is "+idForm)
}

// CheckOrg refuses what is no organization's id, with an *Error.
func CheckOrg(org string) error {
	if ValidID(org) {
		return nil
	}
	return problem.Invalid("org", "invalid_org_id", "an organization's id is "+idForm)
}

// validName says whether s can be the name of a key: 1 to 100 printable characters, with no space at either end.
func validName(s string) bool {
	if !utf8.ValidString(s) || strings.TrimSpace(s) != s {
		return false
	}
	n := 0
	for _, r := range s {
		if !unicode.IsPrint(r) {
			return false
		}
		n++
	}
	return 1 <= n && n <= maxName
}

// cleanName makes a name that was written elsewhere fit to be shown and to stand in a header.
func cleanName(s string) string {
	if validName(s) {
		return s
	}
	n := 0
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) || n == maxName {
			return -1
		}
		n++
		return r
	}, s))
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// newID returns a random id for a key, with some 119 random bits.
func newID() string { return "key_" + randomBase62(rand.Reader, 20) }

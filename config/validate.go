package config

import "github.com/tenzo-ai/tenzo-gateway/config/problem"

// maxID bounds ids, in bytes (specification.md, section 4).
const maxID = 128

// idForm tells people what ValidID checks.
const idForm = "1 to 128 characters of A-Z a-z 0-9 . _ : -"

// ValidID reports whether s can be the id of an organization, a key or an event: 1 to 128
// characters of A-Z a-z 0-9 . _ : -
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

// CheckEventID refuses a string that cannot be the id of an event, with a *problem.Error.
func CheckEventID(id string) error {
	if ValidID(id) {
		return nil
	}
	return problem.Invalid("id", "invalid_id", "an event id must have "+idForm)
}

// CheckOrg refuses a string that cannot be the id of an organization, with a *problem.Error.
func CheckOrg(org string) error {
	if ValidID(org) {
		return nil
	}
	return problem.Invalid("org", "invalid_org_id", "an organization id must have "+idForm)
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

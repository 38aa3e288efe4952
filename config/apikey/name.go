package apikey

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName bounds the name of a key, in characters (specification.md, section 4).
const maxName = 100

// validName reports whether s can be the name of a key: 1 to 100 printable characters, with no
// space at either end.
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

// cleanName makes a name that another program wrote fit to be shown and to be sent in a header.
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

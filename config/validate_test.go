package config

import (
	"strings"
	"testing"
)

func TestValidID(t *testing.T) {
	for s, want := range map[string]bool{
		"a": true, "acme": true, "A-z.0_9:-": true, strings.Repeat("x", 128): true,
		"": false, strings.Repeat("x", 129): false, "a b": false, "ä": false, "a/b": false, "a\n": false, "{a}": false, "a\x00": false, "*": false,
	} {
		if got := ValidID(s); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
}

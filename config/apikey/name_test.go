package apikey

import (
	"strings"
	"testing"
)

func TestValidName(t *testing.T) {
	for s, want := range map[string]bool{
		"x": true, "CI pipeline (prod)": true, "Schlüssel für Zürich": true, "日本語": true, strings.Repeat("ü", 100): true,
		"": false, strings.Repeat("x", 101): false, " x": false, "x ": false, "a\tb": false, "a\nb": false, "a\u202eb": false, "a\u00a0b": false, "a\xffb": false, "\x7f": false,
	} {
		if got := validName(s); got != want {
			t.Errorf("%q: %v", s, got)
		}
		if c := cleanName(s); c != "" && !validName(c) {
			t.Errorf("%q was cleaned to %q", s, c)
		} else if want && c != s {
			t.Errorf("%q became %q", s, c)
		}
	}
	if got := cleanName("a\r\nb" + strings.Repeat("c", 200)); got != "ab"+strings.Repeat("c", 98) {
		t.Errorf("cleaned to %q", got)
	}
}

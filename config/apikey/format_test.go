package apikey

import (
	"bytes"
	"strings"
	"testing"
)

func TestGeneratedKeys(t *testing.T) {
	seen := map[string]bool{}
	for range 500 {
		k := Generate(nil)
		if seen[k] || !Valid(k) || !ChecksumOK(k) || len(k) != len(Prefix)+randomDigits+checksumDigits {
			t.Fatalf("%q", k)
		}
		seen[k] = true
		if h := hintOf(k); h != "tenzo_pk_..."+k[len(k)-4:] {
			t.Errorf("hint %q of %q", h, k)
		}
		// Each mistyped character shows, where it is one that may stand there.
		for i := range len(k) {
			b := []byte(k)
			b[i] = base62[(strings.IndexByte(base62, b[i])+1+i)%62]
			if string(b) != k && Valid(string(b)) && ChecksumOK(string(b)) {
				t.Errorf("%q passes for %q", b, k)
			}
		}
		if ChecksumOK(k[:len(k)-1]) {
			t.Errorf("%q cut short passes", k)
		}
	}
	// 62 digits to the power of 43 are more than 2 to the power of 256.
	if bits := 5.954196 * randomDigits; bits < 256 {
		t.Errorf("%v random bits", bits)
	}
	// The same random bytes give the same key, for tests; 248 and more are drawn again.
	if got, want := Generate(bytes.NewReader(append(bytes.Repeat([]byte{255}, 43), bytes.Repeat([]byte{1}, 86)...))), Prefix+strings.Repeat("1", 43); got[:len(want)] != want {
		t.Errorf("%q", got)
	}
}

func TestKeyFormat(t *testing.T) {
	rest := strings.Repeat("a", 16)
	for s, want := range map[string]bool{
		"tenzo_pk_" + rest: true, "tenzo_pk_AZaz09_-AZaz09_-": true, "tenzo_pk_" + strings.Repeat("a", 200): true,
		"": false, "tenzo_pk_": false, "tenzo_pk_" + rest[1:]: false, "tenzo_pk_" + strings.Repeat("a", 201): false, "Tenzo_pk_" + rest: false,
		"tenzo_pk_" + rest + "!": false, "tenzo_pk_" + rest + "\n": false, " tenzo_pk_" + rest: false, "tenzo_pk_" + rest + "é": false,
	} {
		if got := Valid(s); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
	if got := Hash("tenzo_pk_x"); got != "d83185c7268e6e324b3c630d8f4c765c46f2c0df659d31466c8134c18ef05802" {
		t.Errorf("hash %q", got)
	}
	if hintOf("secret") != "" || ChecksumOK("") || ChecksumOK("tenzo_pk_") {
		t.Error("something that is no key")
	}
}

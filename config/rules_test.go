package config

// This file tests the rules that need no Redis.

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

	"github.com/tenzo-ai/tenzo-gateway/config/problem"
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

func TestGeneratedKeys(t *testing.T) {
	seen := map[string]bool{}
	for range 500 {
		k := GenerateKey(nil)
		if seen[k] || !ValidKey(k) || !ChecksumOK(k) || len(k) != len(KeyPrefix)+randomDigits+checksumDigits {
			t.Fatalf("%q", k)
		}
		seen[k] = true
		if h := hintOf(k); h != "tenzo_pk_..."+k[len(k)-4:] {
			t.Errorf("hint %q of %q", h, k)
		}
		for i := range len(k) { // each mistyped character shows, where it is one that may stand there
			b := []byte(k)
			b[i] = base62[(strings.IndexByte(base62, b[i])+1+i)%62]
			if string(b) != k && ValidKey(string(b)) && ChecksumOK(string(b)) {
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
	if got, want := GenerateKey(bytes.NewReader(append(bytes.Repeat([]byte{255}, 43), bytes.Repeat([]byte{1}, 86)...))), KeyPrefix+strings.Repeat("1", 43); got[:len(want)] != want {
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
		if got := ValidKey(s); got != want {
			t.Errorf("%q: %v", s, got)
		}
	}
	if got := HashKey("tenzo_pk_x"); got != "d83185c7268e6e324b3c630d8f4c765c46f2c0df659d31466c8134c18ef05802" {
		t.Errorf("hash %q", got)
	}
	if hintOf("secret") != "" || ChecksumOK("") || ChecksumOK("tenzo_pk_") {
		t.Error("something that is no key")
	}
}

func TestKeyFromHash(t *testing.T) {
	past, future := "2020-01-01T00:00:00Z", "2999-01-01T00:00:00+02:00"
	good := func(more ...string) map[string]string {
		f := map[string]string{"id": "key_1", "org_id": "acme", "name": "CI", "hint": "tenzo_pk_...abcd", "created_at": past}
		for i := 0; i < len(more); i += 2 {
			f[more[i]] = more[i+1]
		}
		return f
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, tc := range map[string]struct {
		fields map[string]string
		status string // empty: invalid
	}{
		"good":                                  {good(), StatusActive},
		"further fields":                        {good("color", "red"), StatusActive},
		"expires later":                         {good("expires_at", future), StatusActive},
		"expired":                               {good("expires_at", past), StatusExpired},
		"expired with a fraction":               {good("expires_at", "2020-01-01T00:00:00.123456Z"), StatusExpired},
		"expired in year 1":                     {good("expires_at", "0001-01-01T00:00:00Z"), StatusExpired},
		"empty times":                           {good("expires_at", "", "revoked_at", ""), StatusActive},
		"revoked":                               {good("revoked_at", past), StatusRevoked},
		"revoked in the future":                 {good("revoked_at", future), StatusRevoked},
		"revoked with nonsense":                 {good("revoked_at", "yes"), StatusRevoked},
		"revoked with a space":                  {good("revoked_at", " "), StatusRevoked},
		"revoked in year 1":                     {good("revoked_at", "0001-01-01T00:00:00Z"), StatusRevoked},
		"revoked before unreadable":             {good("revoked_at", "0", "expires_at", "soon"), StatusRevoked},
		"revoked before ill-formed":             {map[string]string{"revoked_at": "x"}, StatusRevoked},
		"revoked before expired":                {good("revoked_at", past, "expires_at", past), StatusRevoked},
		"unreadable expiry":                     {good("expires_at", "soon"), ""},
		"expiry without a zone":                 {good("expires_at", "2999-01-01T00:00:00"), ""},
		"expires in small letters":              {good("expires_at", "2999-01-01t00:00:00z"), StatusActive},
		"expires in year 10000, said in UTC":    {good("expires_at", "9999-12-31T23:59:59-05:00"), StatusActive},
		"expired before year 0, said in UTC":    {good("expires_at", "0000-01-01T00:00:00+05:00"), StatusExpired},
		"expiry with a zone of a day":           {good("expires_at", "2999-01-01T00:00:00+24:00"), ""},
		"expiry with a zone of sixty minutes":   {good("expires_at", "2999-01-01T00:00:00+23:60"), ""},
		"expiry with an hour of one digit":      {good("expires_at", "2999-01-01T1:00:00Z"), ""},
		"expiry with a comma":                   {good("expires_at", "2999-01-01T00:00:00,5Z"), ""},
		"expiry as a number":                    {good("expires_at", "32503680000"), ""},
		"no id":                                 {map[string]string{"org_id": "acme"}, ""},
		"ill-formed id":                         {good("id", "a b"), ""},
		"no organization":                       {map[string]string{"id": "key_1"}, ""},
		"ill-formed organization":               {good("org_id", "acme\r\nX-Evil: 1"), ""},
		"nothing":                               {map[string]string{}, ""},
		"nil":                                   {nil, ""},
		"unreadable creation is of no interest": {good("created_at", "x"), StatusActive},
	} {
		k, err := KeyFromHash(tc.fields)
		if tc.status == "" {
			if !errors.Is(err, ErrInvalidRecord) {
				t.Errorf("%s: %v, %v", name, k, err)
			}
			continue
		}
		if err != nil || k.Status(now) != tc.status {
			t.Errorf("%s: %s, %v", name, k.Status(now), err)
		}
		if _, err := json.Marshal([]time.Time{k.CreatedAt.UTC(), k.ExpiresAt.UTC(), k.RevokedAt.UTC()}); err != nil {
			t.Errorf("%s: cannot be listed: %v", name, err)
		}
	}
	k, err := KeyFromHash(good("name", "evil\r\nname\xff"))
	if err != nil || k.Name != "evilname" {
		t.Errorf("name %q, %v", k.Name, err)
	}
	at, _ := time.Parse(time.RFC3339, past)
	if k.Status(at) != StatusActive || (Key{ExpiresAt: at}).Status(at) != StatusExpired || (Key{ExpiresAt: at}).Status(at.Add(-1)) != StatusActive {
		t.Error("a key expires at its instant")
	}
}

func FuzzKeyFromHash(f *testing.F) {
	f.Add("key_1", "acme", "n", "2020-01-01T00:00:00Z", "", "")
	f.Add("", "acme", "n\r\n", "x", "0001-01-01T00:00:00Z", "x")
	f.Fuzz(func(t *testing.T, id, org, name, created, expires, revoked string) {
		k, err := KeyFromHash(map[string]string{"id": id, "org_id": org, "name": name, "created_at": created, "expires_at": expires, "revoked_at": revoked})
		switch {
		case revoked != "" && (err != nil || k.Status(time.Now()) != StatusRevoked):
			t.Error("a revoked key is not")
		case revoked == "" && err == nil && (!ValidID(k.ID) || !ValidID(k.OrgID)):
			t.Errorf("passed: %+v", k)
		case revoked == "" && err == nil && expires != "" && k.ExpiresAt.IsZero():
			t.Error("an expiry was lost")
		case k.Name != "" && !validName(k.Name):
			t.Errorf("name %q", k.Name)
		}
	})
}

func TestParseExpiry(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for s, want := range map[string]string{
		"90d": "2027-02-22T12:00:00Z", "1.5d": "2026-11-26T00:00:00Z", "1d": "2026-11-25T12:00:00Z", "2w": "2026-12-08T12:00:00Z", "12h": "2026-11-25T00:00:00Z", "1h30m": "2026-11-24T13:30:00Z",
		"2027-01-01T00:00:00Z": "2027-01-01T00:00:00Z", "2027-01-01T00:00:00+02:00": "2026-12-31T22:00:00Z", " 90d ": "2027-02-22T12:00:00Z",
		"2026-11-24T12:00:00.001Z": "2026-11-24T12:00:00.001Z",
	} {
		got, err := ParseExpiry(s, now)
		if err != nil || got.UTC().Format(time.RFC3339Nano) != want {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
	for s, want := range map[string]string{
		"": "invalid_expiry", "soon": "invalid_expiry", "90": "invalid_expiry", "d": "invalid_expiry", "99999999999d": "invalid_expiry", "36501d": "invalid_expiry",
		"2027-01-01": "invalid_expiry", "2027-01-01T00:00:00": "invalid_expiry", "9999999h": "invalid_expiry",
		"0d": "expiry_past", "-5m": "invalid_expiry", "0s": "expiry_past", "2026-11-24T12:00:00Z": "expiry_past", "2020-01-01T00:00:00Z": "expiry_past", "-1d": "invalid_expiry",
	} {
		_, err := ParseExpiry(s, now)
		if e, ok := errors.AsType[*problem.Error](err); !ok || e.Code != want || e.Field != "expires_at" {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestSecretIsNeverShown(t *testing.T) {
	const text = "hunter2-hunter2"
	s := NewSecret(text)
	w := Webhook{OrgID: "acme", Secret: s}
	var log bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&log, nil))
	logger.Info("x", "secret", s, "webhook", w, "pointer", &s)
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "secret", s, "webhook", w, "pointer", &s)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T"} {
		fmt.Fprintf(&log, verb+verb+verb, s, &s, w)
	}
	fmt.Fprint(&log, s.String(), s.GoString(), fmt.Errorf("x %w", fmt.Errorf("%v", s)))
	for _, v := range []any{s, &s, w, map[string]any{"s": s}} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		log.Write(b)
	}
	for _, bad := range []string{text, "68756e74", "68756E74", "104 117"} {
		if strings.Contains(log.String(), bad) {
			t.Errorf("shown: %s", log.String())
		}
	}
	if !strings.Contains(log.String(), "[redacted]") || s.Reveal() != text || !s.IsSet() || NewSecret("").IsSet() {
		t.Error("the secret itself is gone")
	}
}

func TestSecretRules(t *testing.T) {
	for range 20 {
		s := GenerateSecret()
		if err := checkSecret(s); err != nil {
			t.Errorf("%v", err)
		}
		if _, err := standardwebhooks.NewWebhook(s); err != nil {
			t.Errorf("the library of Standard Webhooks refuses it: %v", err)
		}
	}
	for s, ok := range map[string]bool{
		"x": true, "correct horse battery staple": true, "pässword": true, strings.Repeat("x", 512): true, "WHSEC_x": true,
		"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw": true, // of the specification's own example: 24 bytes
		strings.Repeat("x", 513):                 false, " x": false, "x\n": false, "a\nb": false, "a\x00b": false, "a\xff": false,
		"whsec_": false, "whsec_!": false, "whsec_c2hvcnQ=": false, "whsec_" + strings.Repeat("AAAA", 22): false, "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS": false,
	} {
		err := checkSecret(s)
		if (err == nil) != ok {
			t.Errorf("%q: %v", s, err)
		}
		if e, is := errors.AsType[*problem.Error](err); err != nil && (!is || e.Field != "secret" || len(s) > 8 && strings.Contains(e.Detail, s)) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

func TestPageLimit(t *testing.T) {
	for n, want := range map[int]int{0: 100, 1: 1, 100: 100, 1000: 1000, 1001: -1, -1: -1} {
		got, err := PageLimit(n)
		if want == -1 && err == nil || want != -1 && got != want {
			t.Errorf("%d: %d, %v", n, got, err)
		}
	}
}

func TestParseSpan(t *testing.T) {
	const day = 24 * time.Hour
	for s, want := range map[string]time.Duration{
		"0s": 0, "0": 0, "500ms": 500 * time.Millisecond, "35s": 35 * time.Second, "30d": 30 * day, "2w": 14 * day, "1d12h": 36 * time.Hour,
		"1w1d": 8 * day, "12h1d": 36 * time.Hour, "1.5d": 36 * time.Hour, "0d": 0,
	} {
		if got, err := ParseSpan(s); err != nil || got != want {
			t.Errorf("%q: %s, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "d", "90", "soon", "-1d", "-5m", "1.2.3d", "1dd", "1y", "1 d", "99999999999d", "9999999h", "1e3d", "NaNd", "Infd"} {
		if got, err := ParseSpan(s); err == nil || !strings.Contains(err.Error(), strconv.Quote(s)) {
			t.Errorf("%q: %s, %v", s, got, err)
		}
	}
}

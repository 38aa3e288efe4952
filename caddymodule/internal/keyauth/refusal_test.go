package keyauth

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var allRefusals = []*Refusal{
	refuseMissing, refuseRepeated, refuseBytes, malformedScheme, malformedEmpty, malformedTwice, malformedPrefix, malformedCase, malformedShort,
	malformedLong, malformedCharacter, malformedList, malformedChecksum, refuseUnknown, refuseMistyped, refuseRevoked, refuseExpired,
	refuseUnavailable, refuseBadRecord, refuseTooMany(0),
}

func TestWriteRefusal(t *testing.T) {
	const realm = `Bearer realm="Tenzo Public API"`
	invalidToken := func(f *Refusal) string {
		return realm + `, error="invalid_token", error_description="` + f.Detail + `"`
	}
	tests := []struct {
		refusal    *Refusal
		status     int
		code       string
		challenge  string
		retryAfter string
	}{
		{refuseMissing, 401, "missing_api_key", realm, ""},
		{refuseRepeated, 400, "invalid_request", realm + `, error="invalid_request", error_description="` + refuseRepeated.Detail + `"`, ""},
		{malformedScheme, 401, "malformed_api_key", invalidToken(malformedScheme), ""},
		{refuseUnknown, 401, "unknown_api_key", invalidToken(refuseUnknown), ""},
		{refuseMistyped, 401, "unknown_api_key", invalidToken(refuseMistyped), ""},
		{refuseRevoked, 401, "revoked_api_key", invalidToken(refuseRevoked), ""},
		{refuseExpired, 401, "expired_api_key", invalidToken(refuseExpired), ""},
		{refuseTooMany(1500 * time.Millisecond), 429, "too_many_unknown_keys", "", "2"},
		{refuseUnavailable, 503, "key_store_unavailable", "", "1"},
		{refuseBadRecord, 503, "invalid_key_record", "", ""},
	}
	for _, tt := range tests {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodOptions} {
			t.Run(tt.code+" "+method, func(t *testing.T) {
				w := httptest.NewRecorder()
				WriteRefusal(w, httptest.NewRequest(method, "/", nil), tt.refusal, "")
				want(t, "status", w.Code, tt.status)
				want(t, "WWW-Authenticate", w.Header().Get("WWW-Authenticate"), tt.challenge)
				want(t, "Retry-After", w.Header().Get("Retry-After"), tt.retryAfter)
				want(t, "Cache-Control", w.Header().Get("Cache-Control"), "no-store")
				want(t, "Content-Type", w.Header().Get("Content-Type"), "application/problem+json")
				if method == http.MethodHead {
					want(t, "length of the body", w.Body.Len(), 0)
					return
				}
				var got map[string]any
				if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(map[string]any{
					"type": "about:blank", "title": http.StatusText(tt.status), "status": float64(tt.status),
					"detail": tt.refusal.Detail, "code": tt.code,
				}, got); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

// An error_description must hold neither quotes nor backslashes (RFC 6750, section 3).
func TestDetailsFitAChallenge(t *testing.T) {
	fits := regexp.MustCompile(`^[\x20\x21\x23-\x5b\x5d-\x7e]+$`)
	for _, f := range allRefusals {
		if !fits.MatchString(f.Detail) {
			t.Errorf("%s: %q", f.Code, f.Detail)
		}
		if _, ok := resultOf[f.Code]; !ok {
			t.Errorf("%s is not counted", f.Code)
		}
	}
}

func TestRealmIsQuoted(t *testing.T) {
	h := http.Header{}
	refuseMissing.SetHeaders(h, "a \"b\" \\ c\r\nX-Evil: 1")
	want(t, "challenge", h.Get("WWW-Authenticate"), `Bearer realm="a \"b\" \\ c  X-Evil: 1"`)
}

package apikey

import (
	"errors"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/problem"
)

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

package config

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

func TestParseDuration(t *testing.T) {
	const day = 24 * time.Hour
	for s, want := range map[string]time.Duration{
		"0s": 0, "0": 0, "500ms": 500 * time.Millisecond, "35s": 35 * time.Second, "30d": 30 * day, "2w": 14 * day, "1d12h": 36 * time.Hour,
		"1w1d": 8 * day, "12h1d": 36 * time.Hour, "1.5d": 36 * time.Hour, "0d": 0,
	} {
		if got, err := ParseDuration(s); err != nil || got != want {
			t.Errorf("%q: %s, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "d", "90", "soon", "-1d", "-5m", "1.2.3d", "1dd", "1y", "1 d", "99999999999d", "9999999h", "1e3d", "NaNd", "Infd"} {
		if got, err := ParseDuration(s); err == nil || !strings.Contains(err.Error(), strconv.Quote(s)) {
			t.Errorf("%q: %s, %v", s, got, err)
		}
	}
}

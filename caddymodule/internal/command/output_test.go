package command

import (
	"testing"
	"time"
)

// A duration below the unit never prints as 0s.
func TestFormatElapsed(t *testing.T) {
	for _, c := range []struct {
		d, unit time.Duration
		want    string
	}{
		{0, time.Millisecond, "<1ms"},
		{999 * time.Microsecond, time.Millisecond, "<1ms"},
		{time.Millisecond, time.Millisecond, "1ms"},
		{1499 * time.Microsecond, time.Millisecond, "1ms"},
		{30 * time.Second, time.Millisecond, "30s"},
		{3 * time.Microsecond, 10 * time.Microsecond, "<10µs"},
		{423 * time.Microsecond, 10 * time.Microsecond, "420µs"},
	} {
		if got := formatElapsed(c.d, c.unit); got != c.want {
			t.Errorf("%s in %s is %q, want %q", c.d, c.unit, got, c.want)
		}
	}
}

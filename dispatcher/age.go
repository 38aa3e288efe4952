package dispatcher

import "time"

// age returns the time from then to now. The monotonic clock stands still while a machine is
// suspended and the wall clock may be set back, so the greater of the two differences counts.
func age(now, then time.Time) time.Duration {
	return max(now.Sub(then), now.Round(0).Sub(then.Round(0)))
}

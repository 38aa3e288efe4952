package config

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// longUnit matches a number of days or weeks, which time.ParseDuration does not know.
var longUnit = regexp.MustCompile(`[0-9.]*[dw]`)

// ParseDuration reads a duration from a flag, an option or an expiry, such as 500ms, 35s, 30d, 2w
// or 1d12h, with days of 24 hours. It accepts zero and refuses negative durations.
func ParseDuration(s string) (time.Duration, error) {
	inHours := longUnit.ReplaceAllStringFunc(s, func(part string) string {
		last := len(part) - 1
		n, err := strconv.ParseFloat(part[:last], 64)
		if err != nil {
			return part // time.ParseDuration refuses it
		}
		n *= 24
		if part[last] == 'w' {
			n *= 7
		}
		return strconv.FormatFloat(n, 'f', -1, 64) + "h"
	})
	d, err := time.ParseDuration(inHours)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("invalid duration %q: must be positive, such as 500ms, 35s or 30d", s)
	}
	return d, nil
}

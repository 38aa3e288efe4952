package config

// This file reads spans of time as people write them, in flags, options and the expiry of keys alike.

import (
	"fmt"
	"regexp"
	"strconv"
	"time"
)

// longUnit is a number of days or weeks, which time.ParseDuration does not know.
var longUnit = regexp.MustCompile(`[0-9.]*[dw]`)

// ParseSpan reads a span of time such as 500ms, 35s, 30d, 2w or 1d12h, in days of 24 hours. Negative ones are refused.
func ParseSpan(s string) (time.Duration, error) {
	inHours := longUnit.ReplaceAllStringFunc(s, func(part string) string {
		last := len(part) - 1
		n, err := strconv.ParseFloat(part[:last], 64)
		if err != nil {
			return part // which is then refused
		}
		n *= 24
		if part[last] == 'w' {
			n *= 7
		}
		return strconv.FormatFloat(n, 'f', -1, 64) + "h"
	})
	d, err := time.ParseDuration(inHours)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is no time span, such as 500ms, 35s or 30d", s)
	}
	return d, nil
}

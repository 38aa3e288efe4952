package dispatcher

import (
	"fmt"

	"github.com/dustin/go-humanize"
)

// ParseSize reads a positive number of bytes such as 1MiB, in the syntax of the `webhooks` block
// and of the flags of the same names.
func ParseSize(s string) (int64, error) {
	n, err := humanize.ParseBytes(s)
	if err != nil || n < 1 || n > 1<<50 {
		return 0, fmt.Errorf("invalid size %q: must be a positive number of bytes such as 1MiB, at most 1PiB", s)
	}
	return int64(n), nil
}

package dispatcher

import (
	"fmt"

	"github.com/dustin/go-humanize"
)

// ParseSize reads a number of bytes above 0, such as 1MiB, as options of the `webhooks` block and
// the flags of the same names have it.
func ParseSize(s string) (int64, error) {
	n, err := humanize.ParseBytes(s)
	if err != nil || n < 1 || n > 1<<50 {
		return 0, fmt.Errorf("%q is no size above 0, such as 1MiB", s)
	}
	return int64(n), nil
}

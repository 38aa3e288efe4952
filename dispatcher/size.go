package dispatcher

import (
	"fmt"
	"strconv"

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

// FormatSize formats a number of bytes so that ParseSize can parse it, in the largest unit that
// divides it: 1MiB, 1536KiB, 1000B.
func FormatSize(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB", "PiB"}
	i := 0
	for ; n != 0 && n%1024 == 0 && i < len(units)-1; i++ {
		n /= 1024
	}
	return strconv.FormatInt(n, 10) + units[i]
}

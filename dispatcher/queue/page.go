package queue

import (
	"regexp"
	"strings"

	"github.com/tenzo-ai/tenzo-gateway/config"
)

var streamID = regexp.MustCompile(`^[0-9]{1,15}-[0-9]{1,20}$`)

// parsePage checks the limit and the cursor of a list. A cursor is the stream id of the last entry
// of the page before. from is where the range of the page begins, "+" for the first page.
func parsePage(limit int, cursor string) (n int, from string, err error) {
	n, err = config.PageLimit(limit)
	switch {
	case err != nil:
		return 0, "", err
	case cursor == "":
		return n, "+", nil
	case !streamID.MatchString(cursor) || strings.Trim(cursor, "0-") == "": // nothing precedes 0-0
		return 0, "", config.ErrInvalidCursor
	}
	return n, "(" + cursor, nil
}

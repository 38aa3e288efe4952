package queue

import (
	"regexp"
	"strconv"
	"strings"

	"github.com/tenzo-ai/tenzo-gateway/config"
)

var streamIDForm = regexp.MustCompile(`^[0-9]{1,15}-[0-9]{1,20}$`)

// validStreamID says whether s is a complete stream id that Redis accepts.
func validStreamID(s string) bool {
	if !streamIDForm.MatchString(s) {
		return false
	}
	_, seq, _ := strings.Cut(s, "-")
	_, err := strconv.ParseUint(seq, 10, 64)
	return err == nil
}

// parsePage checks the limit and the cursor of a list. A cursor is the stream id of the last entry
// of the page before. from is where the range of the page begins, "+" for the first page.
func parsePage(limit int, cursor string) (n int, from string, err error) {
	n, err = config.PageLimit(limit)
	switch {
	case err != nil:
		return 0, "", err
	case cursor == "":
		return n, "+", nil
	case !validStreamID(cursor) || strings.Trim(cursor, "0-") == "": // nothing precedes 0-0
		return 0, "", config.ErrInvalidCursor
	}
	return n, "(" + cursor, nil
}

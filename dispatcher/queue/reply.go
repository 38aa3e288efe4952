package queue

// This file decodes the replies of scripts.

import (
	"errors"
	"fmt"
	"strconv"
)

// errReply is returned where Redis answered in a form that the script never has.
var errReply = errors.New("redis answered a script in an unexpected form")

// The states that the steps of a process answer with.
const (
	stateOK             = "ok"
	stateFenced         = "fenced"
	stateNotInitialized = "not_initialized"
)

// ErrFenced is returned where this process is no longer registered: another process recovered its
// work, or Redis lost its data. It owns nothing of what it has in memory, and must continue under a
// new name.
var ErrFenced = errors.New("the lease was lost and the work recovered by another process")

// ErrNotInitialized is returned where the schema marker is missing; the step did nothing.
var ErrNotInitialized = errors.New("the schema marker is missing")

// decodeReply turns the state, the first member of a step's reply, into an error. It returns the
// other members; want is how many there must be.
func decodeReply(r []any, err error, want int) ([]any, error) {
	if err != nil {
		return nil, err
	}
	s, _ := r[0].(string)
	switch {
	case s == stateFenced:
		return nil, ErrFenced
	case s == stateNotInitialized:
		return nil, ErrNotInitialized
	case s != stateOK || len(r) != want+1:
		return nil, fmt.Errorf("%w: state %q with %d members", errReply, s, len(r))
	}
	return r[1:], nil
}

// partialReply returns the list in the reply of a script that may do less than it was asked to, but
// always something.
func partialReply(r []any, err error, asked int) ([]any, error) {
	if err != nil {
		return nil, err
	}
	l := list(r[0])
	if len(l) == 0 || len(l) > asked {
		return nil, errReply
	}
	return l, nil
}

func str(v any) string { s, _ := v.(string); return s }

func list(v any) []any { l, _ := v.([]any); return l }

func strs(v any) []string {
	l := list(v)
	out := make([]string, len(l))
	for i := range l {
		out[i] = str(l[i])
	}
	return out
}

// num returns an integer that a script returned as a number or as text.
func num(v any) int64 {
	switch n := v.(type) {
	case int64:
		return n
	case string:
		return integer(n)
	}
	return 0
}

// integer parses a number from Redis, 0 where the text is none. Scores are floats.
func integer(s string) int64 {
	if i, err := strconv.ParseInt(s, 10, 64); err == nil {
		return i
	}
	if f, err := strconv.ParseFloat(s, 64); err == nil {
		return int64(f)
	}
	return 0
}

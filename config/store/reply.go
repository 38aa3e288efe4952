package store

// This file is about error replies of Redis: their text for operators, and what they say about
// Redis.

import (
	"errors"
	"regexp"
	"strings"

	"github.com/redis/go-redis/v9"
)

// scriptPlace matches what Redis adds to the error of a command inside a script: the hash of the
// script and the line. It means nothing to an operator.
var scriptPlace = regexp.MustCompile(
	` script: [0-9a-f]{40}, on @\w+:\d+\.?$|^ERR Error running script \(call to \w+\): @\w+:\s*\d+: (@\w+:\s*\d+: )?-?`)

// advice tells an operator what to do about an error reply, by the first word of the reply.
var advice = map[string]string{
	"OOM":         "raise maxmemory, or remove what the memory is used for",
	"NOREPLICAS":  "bring the replicas back, or lower min-replicas-to-write",
	"MISCONF":     "make room on the disk of redis, or repair it; the log of redis says why",
	"READONLY":    "the redis URL must lead to the primary",
	"BUSY":        "find out who runs the script; SCRIPT KILL ends one that has not written",
	"LOADING":     "wait until redis has read its data",
	"MASTERDOWN":  "bring the primary back, or let a replica take over",
	"CLUSTERDOWN": "bring the missing nodes back; `redis-cli --cluster check` names them",
	"NOAUTH":      "give the redis URL its password",
	"WRONGPASS":   "correct the user and the password of the redis URL",
	"NOPERM":      "grant the right to the user of the redis URL",
}

// errorReply is an error reply with the text that operators read: the reply of Redis, without the
// place in a script, and what to do about it.
type errorReply struct {
	text  string
	reply error
}

func (e *errorReply) Error() string { return e.text }
func (e *errorReply) Unwrap() error { return e.reply }

// RedisError marks an error reply for go-redis.
func (e *errorReply) RedisError() {}

// readable returns an error reply with the text that operators read. Other errors stay as they are.
func readable(err error) error {
	if err == nil || errors.Is(err, redis.Nil) {
		return err
	}
	reply, ok := err.(redis.Error) //nolint:errorlint // a wrapped reply has a text of its own
	if !ok {
		return err
	}
	text := scriptPlace.ReplaceAllString(reply.Error(), "")
	word, _, _ := strings.Cut(text, " ")
	if what := advice[word]; what != "" {
		text = strings.TrimSuffix(text, ".") + ": " + what
	}
	if text == reply.Error() {
		return err
	}
	return &errorReply{text: text, reply: err}
}

// IsOOM reports whether a full Redis refused a command, alone or inside a script.
func IsOOM(err error) bool { return redis.IsOOMError(err) || redis.HasErrorPrefix(err, "OOM") }

// refusesWrites reports whether an error reply means that Redis answers, but accepts no writes.
func refusesWrites(err error) bool {
	if IsOOM(err) || redis.IsReadOnlyError(err) {
		return true
	}
	for _, word := range []string{"NOREPLICAS", "MISCONF"} {
		if redis.HasErrorPrefix(err, word) {
			return true
		}
	}
	return false
}

// Problem says in a few words what an error means for the work with Redis, for /readyz; nothing if
// err is nil.
func Problem(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, ErrNotInitialized), errors.Is(err, ErrReplica), errors.Is(err, errNotAsked):
		return err.Error()
	case IsOOM(err):
		return "full: writes are refused"
	case refusesWrites(err):
		return "refuses writes: " + replyText(err)
	}
	if text := replyText(err); text != "" {
		return "refuses commands: " + text
	}
	return "no answer: " + err.Error()
}

// replyText returns the text of the error reply in err, without what was wrapped around it, or
// nothing if Redis did not reply.
func replyText(err error) string {
	if reply, ok := errors.AsType[redis.Error](err); ok {
		return reply.Error()
	}
	return ""
}

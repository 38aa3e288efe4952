// Package redact finds API keys in text that is not theirs to stand in, such as URLs and log lines,
// and cuts them to their hints.
//
// What looks like a whole key is the prefix of keys followed by at least as many of their
// characters as the shortest key has. Each character may be percent-encoded, as in a URL.
package redact

import (
	"bytes"

	"github.com/tenzo-ai/tenzo-gateway/config/apikey"
)

const (
	// minKeyRest is how many characters follow the prefix of the shortest key (specification.md,
	// section 5).
	minKeyRest = 16
	// minHintRest is how many characters must follow the prefix for the last 4 to be shown.
	minHintRest = 8
)

// found is the text of a key.
type found struct {
	start, end int
	rest       int     // how many characters follow the prefix
	last       [4]byte // the last characters, decoded
}

func (f found) whole() bool { return f.rest >= minKeyRest }

// appendHint appends the hint: the prefix and the last 4 characters.
func (f found) appendHint(out []byte) []byte {
	out = append(out, apikey.Prefix+"..."...)
	if f.rest >= minHintRest {
		out = append(out, f.last[:]...)
	}
	return out
}

// Bytes returns p with every whole key cut to its hint: p itself if there is none, else a copy.
func Bytes(p []byte) []byte {
	var out []byte
	done := 0
	for at := 0; ; {
		f, ok := find(p, at)
		if !ok {
			break
		}
		at = f.end
		if f.whole() {
			out = f.appendHint(append(out, p[done:f.start]...))
			done = f.end
		}
	}
	if done == 0 {
		return p
	}
	return append(out, p[done:]...)
}

// HasKey reports whether s holds a whole key.
func HasKey(s string) bool { _, ok := WholeHint(s); return ok }

// WholeHint returns the hint of the first whole key in s.
func WholeHint(s string) (hint string, ok bool) {
	p := []byte(s)
	for at := 0; ; {
		f, ok := find(p, at)
		if !ok {
			return "", false
		}
		if f.whole() {
			return string(f.appendHint(nil)), true
		}
		at = f.end
	}
}

// Hint returns the hint of the first key in s, which may be cut short, or "".
func Hint(s string) string {
	f, ok := find([]byte(s), 0)
	if !ok {
		return ""
	}
	return string(f.appendHint(nil))
}

// find returns the first text in p, from at on, that begins with the prefix of keys.
func find(p []byte, at int) (found, bool) {
	// Few texts hold a key, so those without the plain prefix or a percent sign are told apart
	// fast.
	encoded := bytes.IndexByte(p[at:], '%') >= 0
	for at < len(p) {
		if encoded {
			i := bytes.IndexAny(p[at:], apikey.Prefix[:1]+"%")
			if i < 0 {
				break
			}
			at += i
		} else {
			i := bytes.Index(p[at:], []byte(apikey.Prefix))
			if i < 0 {
				break
			}
			at += i
		}
		if f, ok := match(p, at); ok {
			return f, true
		}
		at++
	}
	return found{}, false
}

// match matches a key that begins at p[start].
func match(p []byte, start int) (found, bool) {
	i := start
	for j := range len(apikey.Prefix) {
		c, width := decode(p, i)
		if width == 0 || c != apikey.Prefix[j] {
			return found{}, false
		}
		i += width
	}
	f := found{start: start}
	for {
		c, width := decode(p, i)
		if width == 0 || !apikey.ValidByte(c) {
			break
		}
		i += width
		f.rest++
		copy(f.last[:], f.last[1:])
		f.last[3] = c
	}
	f.end = i
	return f, true
}

// decode returns the character at p[i], percent-decoded, and the number of bytes it takes; 0 at the
// end.
func decode(p []byte, i int) (c byte, width int) {
	if i >= len(p) {
		return 0, 0
	}
	if p[i] == '%' && i+2 < len(p) {
		high, ok1 := unhex(p[i+1])
		low, ok2 := unhex(p[i+2])
		if ok1 && ok2 {
			return high<<4 | low, 3
		}
	}
	return p[i], 1
}

func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10, true
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}

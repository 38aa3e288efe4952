package payload

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// walk is the first pass over one payload: it reads every token once, so that whatever is wrong anywhere in the document shows, writes
// what leaves to out, and keeps what the second pass needs.
type walk struct {
	decoder *jsontext.Decoder
	input   bytes.Buffer
	source  Source

	out  []byte // what leaves, but for the patches
	name []byte // an unescaped string, until the next one

	stands    uint32   // bit d: the member of duty d stands in out and need not be set at the end
	interview bool     // the meeting is an interview, else an intake
	data      [2]value // extractedJobData and extractedCandidateData
	people    people
	guests    map[string]struct{} // decoded e-mails of the attendees as published
	email     []byte              // of the attendee that is read
	entry     person              // the transcript entry that is read
	set       []byte              // what patches put in
	patches   []patch
	attendee  value // where the attendee list stands or has to be put
}

// value is where a value stands in out.
type value struct {
	from, to int
	kind     jsontext.Kind
}

// run reads the payload of s along root.
func (w *walk) run(root *node, s Source) error {
	w.source = s
	w.input = *bytes.NewBuffer(s.Payload)
	// Escaped lone surrogates are valid JSON in valid UTF-8 and leave as they are; bytes that are no UTF-8 were refused before.
	w.decoder.Reset(&w.input, jsontext.AllowInvalidUTF8(true))
	if kind := w.decoder.PeekKind(); kind != '{' && kind != jsontext.KindInvalid {
		return invalid("the payload is no JSON object")
	}
	if err := w.object(root); err != nil {
		return err
	}
	if _, err := w.decoder.ReadToken(); !errors.Is(err, io.EOF) {
		return invalid("something follows the payload's JSON object")
	}
	return w.settle(s.Event)
}

// object walks the object that comes next.
func (w *walk) object(n *node) error {
	if _, err := w.decoder.ReadToken(); err != nil {
		return w.malformed(n, err)
	}
	w.out = append(w.out, '{')
	begin := len(w.out)
	for w.decoder.PeekKind() == '"' {
		name, err := w.decoder.ReadValue()
		if err != nil {
			return w.malformed(n, err)
		}
		member := n.members[string(w.decoded(name))]
		mark := len(w.out)
		if mark > begin {
			w.out = append(w.out, ',')
		}
		w.out = append(append(w.out, name...), ':')
		leaves, err := w.member(n, member)
		if err != nil {
			return err
		}
		if !leaves {
			w.out = w.out[:mark]
		}
	}
	if _, err := w.decoder.ReadToken(); err != nil {
		return w.malformed(n, err)
	}
	if n.duty == dutyMeeting && !w.standing(dutyAttendees) {
		w.attendee = value{from: len(w.out), to: len(w.out)}
	}
	w.out = append(w.out, '}')
	return nil
}

// member walks the value of a member of n and says whether it leaves. m is nil where the table does not have it.
func (w *walk) member(n, m *node) (leaves bool, err error) {
	if m == nil {
		if n.open {
			return true, w.whole(n)
		}
		if err := w.decoder.SkipValue(); err != nil {
			return false, w.malformed(n, err)
		}
		return false, nil
	}
	switch kind := w.decoder.PeekKind(); {
	case kind == '{' && (m.kind == kindObject || m.kind == kindThrough):
		return true, w.object(m)
	case kind == '[' && (m.kind == kindList || m.kind == kindThrough):
		return true, w.list(m)
	case (kind == '{' || kind == '[') && m.kind == kindScalar:
		return false, invalid("%s is an object or array; the documentation has a plain value", m.path)
	case m.kind == kindObject && kind != 'n' && kind != jsontext.KindInvalid:
		return false, invalid("%s is no object", m.path)
	case m.kind == kindList && kind != 'n' && kind != jsontext.KindInvalid:
		return false, invalid("%s is no array", strings.TrimSuffix(m.path, "[]"))
	}
	raw, err := w.decoder.ReadValue()
	if err != nil {
		return false, w.malformed(m, err)
	}
	if m.duty == noDuty {
		if m.kind == kindDropped || m.kind == kindThrough {
			return false, nil
		}
		w.out = append(w.out, raw...)
		return true, nil
	}
	return w.perform(m, raw)
}

func (w *walk) whole(n *node) error {
	raw, err := w.decoder.ReadValue()
	if err != nil {
		return w.malformed(n, err)
	}
	w.out = append(w.out, raw...)
	return nil
}

// list walks the array that comes next: of objects, all of them where the documentation has the array.
func (w *walk) list(n *node) error {
	if _, err := w.decoder.ReadToken(); err != nil {
		return w.malformed(n, err)
	}
	w.out = append(w.out, '[')
	begin := len(w.out)
	w.begin(n)
	for {
		kind := w.decoder.PeekKind()
		if kind == ']' || kind == jsontext.KindInvalid {
			break
		}
		if kind != '{' {
			if n.kind == kindList {
				return invalid("%s has an element that is no object", n.path)
			}
			if err := w.decoder.SkipValue(); err != nil {
				return w.malformed(n, err)
			}
			continue
		}
		mark := len(w.out)
		if mark > begin {
			w.out = append(w.out, ',')
		}
		if err := w.object(n); err != nil {
			return err
		}
		if !w.element(n) {
			w.out = w.out[:mark]
		}
	}
	if _, err := w.decoder.ReadToken(); err != nil {
		return w.malformed(n, err)
	}
	w.out = append(w.out, ']')
	return nil
}

// decoded returns the text of a JSON string, valid until the next call. A string that cannot be decoded (a lone surrogate) stands for
// itself, so that two of them are never taken for one.
func (w *walk) decoded(raw []byte) []byte {
	if bytes.IndexByte(raw, '\\') < 0 {
		return raw[1 : len(raw)-1]
	}
	text, err := jsontext.AppendUnquote(w.name[:0], raw)
	w.name = text
	if err != nil {
		return raw
	}
	return text
}

// malformed names the documented part in which the document is broken; what the producer called things there is content.
func (w *walk) malformed(n *node, err error) error {
	where := n.path
	if where == "" {
		where = "the top level"
	}
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return invalid("an object has a member twice, in %s", where)
	}
	return invalid("the payload is no valid JSON, or nested too deep: in %s, after byte %d", where, w.decoder.InputOffset())
}

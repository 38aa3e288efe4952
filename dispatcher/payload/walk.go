package payload

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// walk is the first pass over one payload. It reads every token once, so that an error anywhere in
// the document is found; it writes what leaves to out, and records what the second pass needs.
type walk struct {
	decoder *jsontext.Decoder
	input   bytes.Buffer
	source  Source

	out  []byte // what leaves, without the patches
	name []byte // buffer of decoded

	seen       uint32   // bit d: the member of duty d stands in out and need not be set at the end
	interview  bool     // the meeting is an interview, otherwise an intake
	data       [2]value // extractedJobData and extractedCandidateData
	speakers   speakers
	seenEmails map[string]struct{} // decoded e-mails of the published attendees
	email      []byte              // of the attendee being read
	entry      speaker             // the transcript entry being read
	inserted   []byte              // the text of the patches
	patches    []patch
	attendees  value // where the list of attendees is, or belongs
}

// value is the position of a value in out.
type value struct {
	from, to int
	kind     jsontext.Kind
}

// run walks the payload of s along the tree root.
func (w *walk) run(root *node, s Source) error {
	w.source = s
	w.input = *bytes.NewBuffer(s.Payload)
	// Escaped lone surrogates are valid JSON in valid UTF-8 and leave as they are. Bytes that are
	// not UTF-8 were refused before.
	w.decoder.Reset(&w.input, jsontext.AllowInvalidUTF8(true))
	if kind := w.decoder.PeekKind(); kind != '{' && kind != jsontext.KindInvalid {
		return invalid("the payload is not a JSON object")
	}
	if err := w.object(root); err != nil {
		return err
	}
	if _, err := w.decoder.ReadToken(); !errors.Is(err, io.EOF) {
		return invalid("data follows the payload's JSON object")
	}
	return w.finalize(root)
}

// object walks the next value, an object.
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
	if n.rule == ruleMeeting && !w.hasSeen(ruleAttendees) {
		w.attendees = value{from: len(w.out), to: len(w.out)}
	}
	w.out = append(w.out, '}')
	return nil
}

// member walks the value of a member of n. It says whether the member leaves. m is nil where the
// table does not have the member.
func (w *walk) member(n, m *node) (leaves bool, err error) {
	if m == nil {
		if n.open {
			return true, w.copyValue(n)
		}
		if err := w.decoder.SkipValue(); err != nil {
			return false, w.malformed(n, err)
		}
		return false, nil
	}
	switch kind := w.decoder.PeekKind(); {
	case kind == '{' && (m.kind == kindObject || m.kind == kindTraverse):
		return true, w.object(m)
	case kind == '[' && (m.kind == kindList || m.kind == kindTraverse):
		return true, w.list(m)
	case (kind == '{' || kind == '[') && m.kind == kindScalar:
		return false, invalid("%s is an object or array; it must be a plain value", m.path)
	case m.kind == kindObject && kind != 'n' && kind != jsontext.KindInvalid:
		return false, invalid("%s is not an object", m.path)
	case m.kind == kindList && kind != 'n' && kind != jsontext.KindInvalid:
		return false, invalid("%s is not an array", strings.TrimSuffix(m.path, "[]"))
	}
	v, err := w.decoder.ReadValue()
	if err != nil {
		return false, w.malformed(m, err)
	}
	if m.rule == noRule {
		if m.kind == kindDropped || m.kind == kindTraverse {
			return false, nil
		}
		w.out = append(w.out, v...)
		return true, nil
	}
	return w.applyRule(m, v)
}

// copyValue copies the next value to out.
func (w *walk) copyValue(n *node) error {
	v, err := w.decoder.ReadValue()
	if err != nil {
		return w.malformed(n, err)
	}
	w.out = append(w.out, v...)
	return nil
}

// list walks the next value, an array. Where the array is documented, all its elements must be
// objects.
func (w *walk) list(n *node) error {
	if _, err := w.decoder.ReadToken(); err != nil {
		return w.malformed(n, err)
	}
	w.out = append(w.out, '[')
	begin := len(w.out)
	w.beginElement(n)
	for {
		kind := w.decoder.PeekKind()
		if kind == ']' || kind == jsontext.KindInvalid {
			break
		}
		if kind != '{' {
			if n.kind == kindList {
				return invalid("%s has an element that is not an object", n.path)
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
		if !w.endElement(n) {
			w.out = w.out[:mark]
		}
	}
	if _, err := w.decoder.ReadToken(); err != nil {
		return w.malformed(n, err)
	}
	w.out = append(w.out, ']')
	return nil
}

// decoded returns the text of a JSON string, valid until the next call. For a string that cannot be
// decoded (a lone surrogate) it returns the JSON text itself, so that two of them never compare
// equal.
func (w *walk) decoded(v []byte) []byte {
	if bytes.IndexByte(v, '\\') < 0 {
		return v[1 : len(v)-1]
	}
	text, err := jsontext.AppendUnquote(w.name[:0], v)
	w.name = text
	if err != nil {
		return v
	}
	return text
}

// malformed names the documented member in which the document is broken. Undocumented names are
// content, and are not shown.
func (w *walk) malformed(n *node, err error) error {
	where := n.path
	if where == "" {
		where = "the top level"
	}
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return invalid("duplicate member of an object, in %s", where)
	}
	return invalid("the payload is not valid JSON, or nested too deep: in %s, after byte %d", where, w.decoder.InputOffset())
}

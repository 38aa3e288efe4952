package payload

import (
	"cmp"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// The types of meetings.
const (
	interview = "interview"
	intake    = "intake"
)

func (w *walk) markSeen(d rule)     { w.seen |= 1 << d }
func (w *walk) hasSeen(d rule) bool { return w.seen&(1<<d) != 0 }

// applyRule applies the rule of a member to its value. It says whether the member leaves.
func (w *walk) applyRule(m *node, v jsontext.Value) (leaves bool, err error) {
	from, kind := len(w.out), v.Kind()
	w.markSeen(m.rule)
	switch m.rule {
	case ruleEvent:
		if kind == 'n' {
			w.out = quote(w.out, w.source.Event)
			return true, nil
		}
		if !w.equals(v, w.source.Event) {
			return false, invalid("event is another event than the one it was published as")
		}
	case ruleOrg:
		if (kind == '"' || kind != 'n' && m.kind == kindScalar) && !w.equals(v, w.source.OrgID) {
			return false, invalid("%s is another organization than the one it was published for", m.path)
		}
	case ruleOrgID:
		if kind == 'n' {
			w.out = quote(w.out, w.source.OrgID)
			return true, nil
		}
		if !w.equals(v, w.source.OrgID) {
			return false, invalid("orgId is another organization than the one it was published for")
		}
	case ruleTimestamp:
		if kind == 'n' {
			w.out = w.timestamp(w.out)
			return true, nil
		}
	case ruleRequired:
		if kind != '"' || len(v) == len(`""`) {
			return false, invalid("%s must be a non-empty string", m.path)
		}
	case ruleMeetingType:
		w.interview = w.equals(v, interview)
		if !w.interview && !w.equals(v, intake) {
			return false, invalid("meeting.type must be %q or %q", interview, intake)
		}
	case ruleAttendees: // null
		w.attendees = value{from: from, to: from + len(v), kind: 'n'}
	case ruleAttendeeEmail:
		w.email = v
	case ruleJobData:
		w.data[0] = value{from: from, to: from + len(v), kind: kind}
	case ruleCandidateData:
		w.data[1] = value{from: from, to: from + len(v), kind: kind}
	case ruleEntryEmail:
		w.entry.email = v
	case ruleEntryName:
		w.entry.name = v
	case ruleEntryRole:
		w.entry.role = v
	}
	if m.kind == kindDropped {
		return false, nil
	}
	w.out = append(w.out, v...)
	return true, nil
}

// equals compares a JSON value with a string.
func (w *walk) equals(v jsontext.Value, s string) bool {
	return v.Kind() == '"' && string(w.decoded(v)) == s
}

// finalize runs after the walk: it inserts the members that are absent, and refuses the payload
// where a required one is.
func (w *walk) finalize(root *node) error {
	if root.required != "" && !w.hasSeen(ruleRequired) {
		return invalid("%s is absent; it must be a non-empty string", root.required)
	}
	if root.setsOrg && !w.hasSeen(ruleOrgID) {
		w.out = w.out[:len(w.out)-1] // the closing brace
		if len(w.out) > len(`{`) {
			w.out = append(w.out, ',')
		}
		w.out = append(quote(append(w.out, `"orgId":`...), w.source.OrgID), '}')
	}
	if !w.hasSeen(ruleEvent) {
		from := len(w.inserted)
		w.inserted = quote(append(w.inserted, `"event":`...), w.source.Event)
		if len(w.out) > len(`{}`) {
			w.inserted = append(w.inserted, ',')
		}
		w.patch(value{from: 1, to: 1}, from)
	}
	if w.source.Event == NoteFinalized {
		return w.finalizeNote()
	}
	return nil
}

func (w *walk) finalizeNote() error {
	if !w.hasSeen(ruleMeetingType) {
		return invalid("meeting.type is absent; it must be %q or %q", interview, intake)
	}
	w.finalizeAttendees()
	applies, not := 0, 1
	if w.interview {
		applies, not = 1, 0
	}
	if kind := w.data[applies].kind; kind != 0 && kind != '{' && kind != 'n' {
		return invalid("%s is not an object", [...]string{"extractedJobData", "extractedCandidateData"}[applies])
	}
	if kind := w.data[not].kind; kind != 0 && kind != 'n' {
		from := len(w.inserted)
		w.inserted = append(w.inserted, "null"...)
		w.patch(w.data[not], from)
	}
	w.out = w.out[:len(w.out)-1] // the closing brace
	if !w.hasSeen(ruleTimestamp) {
		w.out = w.timestamp(append(w.out, `,"timestamp":`...))
	}
	for _, m := range [...]struct {
		rule rule
		text string
	}{
		{ruleCandidateID, `,"candidateId":null`},
		{ruleJobID, `,"jobId":null`},
		{ruleRemoteJobID, `,"remoteJobId":null`},
		{ruleJobData, `,"extractedJobData":null`},
		{ruleCandidateData, `,"extractedCandidateData":null`},
	} {
		if !w.hasSeen(m.rule) {
			w.out = append(w.out, m.text...)
		}
	}
	w.out = append(w.out, '}')
	return nil
}

func (w *walk) timestamp(b []byte) []byte {
	b = append(b, '"')
	b = w.source.PublishedAt.UTC().AppendFormat(b, time.RFC3339)
	return append(b, '"')
}

func quote(b []byte, s string) []byte {
	// The error means only that a byte was not UTF-8 and was replaced.
	b, _ = jsontext.AppendQuote(b, s)
	return b
}

// patch replaces, in the second pass, the value at `at` by inserted[from:to].
type patch struct {
	at       value
	from, to int
}

func (w *walk) patch(at value, from int) {
	w.patches = append(w.patches, patch{at, from, len(w.inserted)})
}

// assemble is the second pass: it appends the public payload, patched, to dst.
func (w *walk) assemble(dst []byte) []byte {
	slices.SortFunc(w.patches, func(a, b patch) int { return cmp.Compare(a.at.from, b.at.from) })
	dst = slices.Grow(dst, len(w.out)+len(w.inserted))
	from := 0
	for _, p := range w.patches {
		dst = append(append(dst, w.out[from:p.at.from]...), w.inserted[p.from:p.to]...)
		from = p.at.to
	}
	return append(dst, w.out[from:]...)
}

package payload

import (
	"cmp"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// The kinds of meetings.
const (
	interview = "interview"
	intake    = "intake"
)

func (w *walk) stand(d duty)         { w.stands |= 1 << d }
func (w *walk) standing(d duty) bool { return w.stands&(1<<d) != 0 }

// perform does the duty of a member with the value raw and says whether it leaves.
func (w *walk) perform(m *node, raw jsontext.Value) (leaves bool, err error) {
	from, kind := len(w.out), raw.Kind()
	w.stand(m.duty)
	switch m.duty {
	case dutyEvent:
		if kind == 'n' {
			w.out = quote(w.out, w.source.Event)
			return true, nil
		}
		if !w.says(raw, w.source.Event) {
			return false, invalid("event names another event than the one it was published as")
		}
	case dutyOrg:
		if kind == '"' && !w.says(raw, w.source.OrgID) {
			return false, invalid("%s names another organization than the one it was published for", m.path)
		}
	case dutyOrgID:
		if kind == 'n' {
			w.out = quote(w.out, w.source.OrgID)
			return true, nil
		}
		if !w.says(raw, w.source.OrgID) {
			return false, invalid("orgId names another organization than the one it was published for")
		}
	case dutyTimestamp:
		if kind == 'n' {
			w.out = w.timestamp(w.out)
			return true, nil
		}
	case dutyRequired:
		if kind != '"' || len(raw) == len(`""`) {
			return false, invalid("%s must be a string that is not empty", m.path)
		}
	case dutyMeetingType:
		w.interview = w.says(raw, interview)
		if !w.interview && !w.says(raw, intake) {
			return false, invalid("meeting.type must be %q or %q", interview, intake)
		}
	case dutyAttendees: // null
		w.attendee = value{from: from, to: from + len(raw), kind: 'n'}
	case dutyAttendeeEmail:
		w.email = raw
	case dutyJobData:
		w.data[0] = value{from: from, to: from + len(raw), kind: kind}
	case dutyCandidateData:
		w.data[1] = value{from: from, to: from + len(raw), kind: kind}
	case dutyEntryEmail:
		w.entry.email = raw
	case dutyEntryName:
		w.entry.name = raw
	case dutyEntryRole:
		w.entry.role = raw
	}
	if m.kind == kindDropped {
		return false, nil
	}
	w.out = append(w.out, raw...)
	return true, nil
}

// says compares a JSON value with a string.
func (w *walk) says(raw jsontext.Value, s string) bool {
	return raw.Kind() == '"' && string(w.decoded(raw)) == s
}

// settle sees, after the walk, to what is absent.
func (w *walk) settle(event string) error {
	if !w.standing(dutyEvent) {
		from := len(w.set)
		w.set = quote(append(w.set, `"event":`...), event)
		if len(w.out) > len(`{}`) {
			w.set = append(w.set, ',')
		}
		w.patch(value{from: 1, to: 1}, from)
	}
	switch event {
	case InterviewResults:
		if !w.standing(dutyRequired) {
			return invalid("call_id is absent; it must be a string that is not empty")
		}
	case NoteFinalized:
		return w.settleNote()
	}
	return nil
}

func (w *walk) settleNote() error {
	if !w.standing(dutyRequired) {
		return invalid("noteId is absent; it must be a string that is not empty")
	}
	if !w.standing(dutyMeetingType) {
		return invalid("meeting.type is absent; it must be %q or %q", interview, intake)
	}
	w.settleAttendees()
	applies, not := 0, 1
	if w.interview {
		applies, not = 1, 0
	}
	if kind := w.data[applies].kind; kind != 0 && kind != '{' && kind != 'n' {
		return invalid("%s is no object", [...]string{"extractedJobData", "extractedCandidateData"}[applies])
	}
	if kind := w.data[not].kind; kind != 0 && kind != 'n' {
		from := len(w.set)
		w.set = append(w.set, "null"...)
		w.patch(w.data[not], from)
	}
	w.out = w.out[:len(w.out)-1] // the closing brace
	if !w.standing(dutyOrgID) {
		w.out = quote(append(w.out, `,"orgId":`...), w.source.OrgID)
	}
	if !w.standing(dutyTimestamp) {
		w.out = w.timestamp(append(w.out, `,"timestamp":`...))
	}
	for _, m := range [...]struct {
		duty duty
		text string
	}{
		{dutyCandidateID, `,"candidateId":null`},
		{dutyJobID, `,"jobId":null`},
		{dutyRemoteJobID, `,"remoteJobId":null`},
		{dutyJobData, `,"extractedJobData":null`},
		{dutyCandidateData, `,"extractedCandidateData":null`},
	} {
		if !w.standing(m.duty) {
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
	b, _ = jsontext.AppendQuote(b, s) // the error says that a byte was no UTF-8 and was replaced
	return b
}

// patch puts, in the second pass, set[from:] in place of what stands at v.
type patch struct {
	at       value
	from, to int
}

func (w *walk) patch(at value, from int) {
	w.patches = append(w.patches, patch{at, from, len(w.set)})
}

// assemble is the second pass: it appends to dst what leaves, patched.
func (w *walk) assemble(dst []byte) []byte {
	slices.SortFunc(w.patches, func(a, b patch) int { return cmp.Compare(a.at.from, b.at.from) })
	dst = slices.Grow(dst, len(w.out)+len(w.set))
	from := 0
	for _, p := range w.patches {
		dst = append(append(dst, w.out[from:p.at.from]...), w.set[p.from:p.to]...)
		from = p.at.to
	}
	return append(dst, w.out[from:]...)
}

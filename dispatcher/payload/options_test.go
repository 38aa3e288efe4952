package payload

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPass(t *testing.T) {
	pass := func(paths ...string) Options { return Options{PassMembers: map[string][]string{NoteFinalized: paths}} }
	noAttendees := `,"attendees":[]}`
	for name, c := range map[string]struct {
		o               Options
		event, in, want string
	}{
		"a member of an object": {pass("meeting.location"), NoteFinalized, note("", `,"location":{"annotations":[1]},"room":1`), noteHead + `,"location":{"annotations":[1]},"attendees":[]}` + noteTail},
		"a member at the top":   {pass("extra"), NoteFinalized, note(`,"ext\u0072a":[1, 2],"other":1`, ""), noteHead + noAttendees + `,"ext\u0072a":[1, 2]` + noteTail},
		"through an array":      {pass("transcript.sentiment"), NoteFinalized, note(`,"transcript":[{"id":1,"sentiment":1},{"sentiment":[{"email":1}]}]`, ""), noteHead + noAttendees + `,"transcript":[{"sentiment":1},{"sentiment":[{"email":1}]}]` + noteTail},
		"the name of an entry, which also names the attendee": {pass("transcript.name"), NoteFinalized, note(`,"transcript":[{"email":"e","name":"N"}]`, ""), noteHead + `,"attendees":[{"email":"e","name":"N"}]},"transcript":[{"name":"N"}]` + noteTail},
		"a documented scalar grows":                           {pass("summary"), NoteFinalized, note(`,"summary":{"a":1}`, ""), noteHead + noAttendees + `,"summary":{"a":1}` + noteTail},
		"through what is not documented": {
			pass("meeting.room.name", "meeting.room.floor"), NoteFinalized,
			note("", `,"room":{"name":"n","email":"e","floor":[1]}`),
			noteHead + `,"room":{"name":"n","floor":[1]},"attendees":[]}` + noteTail,
		},
		"through an array that is not documented": {
			pass("rooms.name"), NoteFinalized,
			note(`,"rooms":[{"name":"n","email":"e"},"email",[{"name":1}],null]`, ""),
			noteHead + noAttendees + `,"rooms":[{"name":"n"}]` + noteTail,
		},
		"a scalar where an object was expected": {pass("room.name"), NoteFinalized, note(`,"room":"email"`, ""), noteHead + noAttendees + noteTail},
		"a member and then a part of it":        {pass("room", "room.name"), NoteFinalized, note(`,"room":{"x":1}`, ""), noteHead + noAttendees + `,"room":{"x":1}` + noteTail},
		"of the other event":                    {Options{PassMembers: map[string][]string{InterviewResults: {"x.y"}}}, InterviewResults, `{"call_id":"c","x":{"y":1,"z":2}}`, `{"event":"interview.results","call_id":"c","x":{"y":1}}`},

		"an event":                             {Options{PassEvents: []string{"candidate.hired"}}, "candidate.hired", `{"b":1e400, "a":{ "email":"x"},"event":"candidate.hired"}`, `{"b":1e400,"a":{ "email":"x"},"event":"candidate.hired"}`},
		"an event that does not name itself":   {Options{PassEvents: []string{"candidate.hired"}}, "candidate.hired", `{"a":null}`, `{"event":"candidate.hired","a":null}`},
		"an event that names itself null":      {Options{PassEvents: []string{"candidate.hired"}}, "candidate.hired", `{"a":1,"event":null}`, `{"a":1,"event":"candidate.hired"}`},
		"an event without anything":            {Options{PassEvents: []string{"candidate.hired"}}, "candidate.hired", ` { } `, `{"event":"candidate.hired"}`},
		"an event that names its organization": {Options{PassEvents: []string{"candidate.hired"}}, "candidate.hired", `{"orgId":"acme","org_id":7}`, `{"event":"candidate.hired","orgId":"acme","org_id":7}`},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := project(t, c.o, c.event, c.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
	for _, in := range []string{`[]`, `{"a":1,"a":1}`, `{"a":{"b":1,"b":1}}`, `{"event":"x"}`, `{"event":[]}`, `{"orgId":"other"}`} {
		if _, err := project(t, Options{PassEvents: []string{"candidate.hired"}}, "candidate.hired", in); err == nil {
			t.Errorf("a passed event left as %s", in)
		}
	}
}

func TestOptionsRefused(t *testing.T) {
	pass := func(event, path string) Options {
		return Options{PassMembers: map[string][]string{event: {path}}}
	}
	for want, o := range map[string]Options{
		"not a documented event":            pass("candidate.hired", "x"),
		`"notes.annotations" never`:         pass(NoteFinalized, "notes.annotations"),
		`"notes.annotations.text" never`:    pass(NoteFinalized, "notes.annotations.text"),
		`"transcript.email" never`:          pass(NoteFinalized, "transcript.email"),
		`"transcript.id" never`:             pass(NoteFinalized, "transcript.id"),
		"questions.annotations":             pass(NoteFinalized, "notes.sections.questions.annotations"),
		`"notes" is documented`:             pass(NoteFinalized, "notes"),
		`"transcript" is documented`:        pass(NoteFinalized, "transcript"),
		`"meeting.attendees" is documented`: pass(NoteFinalized, "meeting.attendees"),
		`"" is not a path`:                  pass(NoteFinalized, ""),
		`"a..b" is not a path`:              pass(NoteFinalized, "a..b"),
		`"summary.x" runs through`:          pass(NoteFinalized, "summary.x"),
		"is documented: only":               {PassEvents: []string{NoteFinalized}},
		`invalid name "unknown"`:            {PassEvents: []string{"unknown"}},
		`invalid name ""`:                   {PassEvents: []string{""}},
		`invalid name "a b"`:                {PassEvents: []string{"a b"}},
		`duplicate event "a"`:               {PassEvents: []string{"a", "a"}},
		"must not be negative":              {MaxPayload: -1},
	} {
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	p, err := New(Options{PassEvents: []string{"b", "a"}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{InterviewResults, NoteFinalized, "b", "a"}, p.Events()); diff != "" {
		t.Error(diff)
	}
}

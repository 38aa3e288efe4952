package payload

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var published = time.Date(2026, 5, 12, 18, 4, 0, 123e6, time.UTC)

// project projects a document published as event for the organization "acme".
func project(t testing.TB, o Options, event, document string) (string, error) {
	t.Helper()
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.Project([]byte("kept:"), Source{Event: event, OrgID: "acme", PublishedAt: published, Payload: []byte(document)})
	rest, kept := strings.CutPrefix(string(out), "kept:")
	if !kept {
		t.Fatalf("dst was not kept: %s", out)
	}
	if err != nil && rest != "" {
		t.Fatalf("refused with %v and yet wrote %s", err, rest)
	}
	if err == nil && !json.Valid([]byte(rest)) {
		t.Fatalf("no JSON: %s", rest)
	}
	return rest, err
}

// note is the shortest note.finalized, with further members at the top and in its meeting.
func note(top, meeting string) string {
	return `{"event":"note.finalized","noteId":"n","meeting":{"type":"intake"` + meeting + `}` + top + `}`
}

const noteHead = `{"event":"note.finalized","noteId":"n","meeting":{"type":"intake"`

// noteTail is the members that a note gets at its end where they are absent.
const noteTail = `,"orgId":"acme","timestamp":"2026-05-12T18:04:00Z","candidateId":null,"jobId":null,"remoteJobId":null,"extractedJobData":null,"extractedCandidateData":null}`

func TestProject(t *testing.T) {
	noAttendees := `,"attendees":[]}`
	for name, c := range map[string]struct{ event, in, want string }{
		"interview: documented members, as published": {
			InterviewResults,
			`{ "call_id" : "c", "overall_grade": 1e400, "question_results":[ {"annotations": 1} ], "candidate_name":"\u004a\ud83d\ude00é", "internal":{"a":1}, "call_summary": {"x":12345678901234567890}}`,
			`{"event":"interview.results","call_id":"c","overall_grade":1e400,"question_results":[ {"annotations": 1} ],"candidate_name":"\u004a\ud83d\ude00é","call_summary":{"x":12345678901234567890}}`,
		},
		"interview: event stands where it was":      {InterviewResults, `{"call_id":"c","event":"interview.results"}`, `{"call_id":"c","event":"interview.results"}`},
		"interview: null event is set":              {InterviewResults, `{"call_id":"c","event":null}`, `{"call_id":"c","event":"interview.results"}`},
		"interview: event spelled with escapes":     {InterviewResults, `{"call_id":"c","ev\u0065nt":"interview\u002eresults"}`, `{"call_id":"c","ev\u0065nt":"interview\u002eresults"}`},
		"interview: lone surrogates leave":          {InterviewResults, `{"call_id":"\ud83d"}`, `{"event":"interview.results","call_id":"\ud83d"}`},
		"interview: its organization, undocumented": {InterviewResults, `{"call_id":"c","org_id":"acme","orgId":"acme"}`, `{"event":"interview.results","call_id":"c"}`},
		"note: what is absent is set at the end":    {NoteFinalized, note("", ""), noteHead + noAttendees + noteTail},
		"note: null is set where it stands": {
			NoteFinalized,
			`{"event":null,"orgId":null,"timestamp":null,"extractedJobData":null,"jobId":null,"noteId":"n","meeting":{"attendees":null,"type":"intake"}}`,
			`{"event":"note.finalized","orgId":"acme","timestamp":"2026-05-12T18:04:00Z","extractedJobData":null,"jobId":null,"noteId":"n","meeting":{"attendees":[],"type":"intake"},"candidateId":null,"remoteJobId":null,"extractedCandidateData":null}`,
		},
		"note: only documented members": {
			NoteFinalized,
			note(`,"candidate":{"email":"x@y"},"notes":{"annotations":[1],"private":2,"sections":[{"key":"k","title":"t","score":1,"questions":[{"annotations":[{"a":1}],"key":"q","question":"?","answered":true,"response":"r","suggested":false,"coach":1}]}]},"transcript":[{"id":1,"email":"a@b","type":"message","start_ts":0,"end_ts":1e400,"content":"c","role":"R","name":"N"}]`, `,"room":"r","attendees":[{"name":"n","phone":"1","email":"e"}]`),
			noteHead + `,"attendees":[{"name":"n","email":"e"}]},"notes":{"sections":[{"key":"k","title":"t","questions":[{"key":"q","question":"?","answered":true,"response":"r","suggested":false}]}]},"transcript":[{"type":"message","start_ts":0,"end_ts":1e400,"content":"c","role":"R"}]` + noteTail,
		},
		"note: hidden members in odd spellings": {
			NoteFinalized,
			note(`,"notes":{"annot\u0061tions":[1],"sections":[{"questions":[{"\u0061nnotations":[1]}]}]},"transcript":[{"em\u0061il":"a@b","\u0069d":7,"role":"R"}]`, ``),
			noteHead + `,"attendees":[{"email":"a@b","name":"R"}]},"notes":{"sections":[{"questions":[{}]}]},"transcript":[{"role":"R"}]` + noteTail,
		},
		"note: attendees unique by decoded e-mail, without one they stay": {
			NoteFinalized,
			note("", `,"attendees":[{"email":"a@b","name":"1"},{"name":"x"},{"email":"\u0061@b","name":"2"},{"email":null},{"email":null},{"email":""},{"email":""},{"email":"c"}]`),
			noteHead + `,"attendees":[{"email":"a@b","name":"1"},{"name":"x"},{"email":null},{"email":null},{"email":""},{"email":""},{"email":"c"}]}` + noteTail,
		},
		"note: attendees derived, in first-seen order, also from a transcript that stands first": {
			NoteFinalized,
			`{"transcript":[{"email":"b@x","role":"R"},{"email":"\u0061@x","name":"\u0041"},{"role":"nobody"},{"email":"a@x","name":"other"},{"email":"c@x"},{"email":5},{"email":"c@x","name":"late"},{"email":"d@x"}],"noteId":"n","meeting":{"type":"intake"},"event":"note.finalized"}`,
			`{"transcript":[{"role":"R"},{},{"role":"nobody"},{},{},{},{},{}],"noteId":"n","meeting":{"type":"intake","attendees":[{"email":"b@x","name":"R"},{"email":"\u0061@x","name":"\u0041"},{"email":"c@x","name":"late"},{"email":"d@x","name":null}]},"event":"note.finalized"` + noteTail,
		},
		"note: attendees as published, although the transcript names more": {
			NoteFinalized, note(`,"transcript":[{"email":"b@x"}]`, `,"attendees":[]`), noteHead + noAttendees + `,"transcript":[{}]` + noteTail,
		},
		"note: null objects and arrays stay null": {NoteFinalized, note(`,"notes":null,"transcript":null`, ``), noteHead + noAttendees + `,"notes":null,"transcript":null` + noteTail},
		"note: an intake has no candidate data": {
			NoteFinalized,
			note(`,"extractedCandidateData":{"secret":1},"extractedJobData":{ "annotations": {"email":1} }`, ``),
			noteHead + noAttendees + `,"extractedCandidateData":null,"extractedJobData":{ "annotations": {"email":1} },"orgId":"acme","timestamp":"2026-05-12T18:04:00Z","candidateId":null,"jobId":null,"remoteJobId":null}`,
		},
		"note: an interview has no job data, whatever stands there and wherever its type is said": {
			NoteFinalized,
			`{"extractedJobData":["x"],"extractedCandidateData":{"a":1},"noteId":"n","meeting":{"type":"int\u0065rview"},"event":"note.finalized"}`,
			`{"extractedJobData":null,"extractedCandidateData":{"a":1},"noteId":"n","meeting":{"type":"int\u0065rview","attendees":[]},"event":"note.finalized","orgId":"acme","timestamp":"2026-05-12T18:04:00Z","candidateId":null,"jobId":null,"remoteJobId":null}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := project(t, Options{}, c.event, c.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
			again, err := project(t, Options{}, c.event, got)
			if err != nil || again != got {
				t.Errorf("projected again it is %s, %v", again, err)
			}
		})
	}
}

func TestRefused(t *testing.T) {
	deep := strings.Repeat("[", 20000) + strings.Repeat("]", 20000)
	for name, c := range map[string]struct{ event, in, detail string }{
		"empty":                        {InterviewResults, ``, "empty"},
		"space":                        {InterviewResults, `  `, "not valid JSON"},
		"array":                        {InterviewResults, `[]`, "not a JSON object"},
		"string":                       {InterviewResults, `"x"`, "not a JSON object"},
		"null":                         {InterviewResults, `null`, "not a JSON object"},
		"cut off":                      {InterviewResults, `{"call_id":"c"`, "not valid JSON"},
		"trailing comma":               {InterviewResults, `{"call_id":"c",}`, "not valid JSON"},
		"two objects":                  {InterviewResults, `{"call_id":"c"}{}`, "data follows"},
		"byte order mark":              {InterviewResults, "\ufeff" + `{"call_id":"c"}`, "JSON"},
		"control character":            {InterviewResults, "{\"call_id\":\"a\x01\"}", "not valid JSON"},
		"invalid UTF-8":                {InterviewResults, "{\"call_id\":\"\xff\"}", "UTF-8"},
		"invalid UTF-8, dropped":       {InterviewResults, "{\"call_id\":\"c\",\"x\":\"\xed\xa0\x80\"}", "UTF-8"},
		"NaN":                          {InterviewResults, `{"call_id":"c","overall_grade":NaN}`, "not valid JSON"},
		"too deep":                     {InterviewResults, `{"call_id":"c","overall_grade":` + deep + `}`, "nested too deep"},
		"too deep, dropped":            {InterviewResults, `{"call_id":"c","x":` + deep + `}`, "nested too deep"},
		"no call_id":                   {InterviewResults, `{}`, "call_id"},
		"empty call_id":                {InterviewResults, `{"call_id":""}`, "call_id"},
		"null call_id":                 {InterviewResults, `{"call_id":null}`, "call_id"},
		"call_id is a number":          {InterviewResults, `{"call_id":1}`, "call_id"},
		"another event":                {InterviewResults, `{"call_id":"c","event":"note.finalized"}`, "another event"},
		"event is a number":            {InterviewResults, `{"call_id":"c","event":1}`, "another event"},
		"event is an object":           {InterviewResults, `{"call_id":"c","event":{}}`, "event is an object"},
		"another organization":         {InterviewResults, `{"call_id":"c","orgId":"other"}`, "another organization"},
		"another organization, org_id": {InterviewResults, `{"call_id":"c","org_id":"other"}`, "another organization"},
		"twice":                        {InterviewResults, `{"call_id":"c","call_id":"c"}`, "duplicate"},
		"twice, escaped":               {InterviewResults, `{"call_id":"c","c\u0061ll_id":"c"}`, "duplicate"},
		"twice in what is dropped":     {InterviewResults, `{"call_id":"c","x":[{"a":1,"\u0061":2}]}`, "duplicate"},
		"twice in what leaves whole":   {InterviewResults, `{"call_id":"c","question_results":[{"a":1,"a":2}]}`, "duplicate"},
		"twice in an entry":            {NoteFinalized, note(`,"transcript":[{"email":"a","em\u0061il":"b"}]`, ``), "duplicate member of an object, in transcript[]"},
		"note: another org":            {NoteFinalized, note(`,"orgId":"other"`, ``), "another organization"},
		"note: org is a number":        {NoteFinalized, note(`,"orgId":5`, ``), "another organization"},
		"note: no noteId":              {NoteFinalized, `{"meeting":{"type":"intake"}}`, "noteId"},
		"note: empty noteId":           {NoteFinalized, `{"noteId":"","meeting":{"type":"intake"}}`, "noteId"},
		"note: no meeting":             {NoteFinalized, `{"noteId":"n"}`, "meeting.type"},
		"note: null meeting":           {NoteFinalized, `{"noteId":"n","meeting":null}`, "meeting.type"},
		"note: no type":                {NoteFinalized, `{"noteId":"n","meeting":{}}`, "meeting.type"},
		"note: null type":              {NoteFinalized, `{"noteId":"n","meeting":{"type":null}}`, "meeting.type"},
		"note: another type":           {NoteFinalized, `{"noteId":"n","meeting":{"type":"Intake"}}`, "meeting.type"},
		"note: meeting is an array":    {NoteFinalized, `{"noteId":"n","meeting":[{"type":"intake"}]}`, "meeting is not an object"},
		"note: attendees is an object": {NoteFinalized, note(``, `,"attendees":{"email":"a"}`), "meeting.attendees is not an array"},
		"note: attendee is a string":   {NoteFinalized, note(``, `,"attendees":["a@b"]`), "meeting.attendees[]"},
		"note: attendee is null":       {NoteFinalized, note(``, `,"attendees":[null]`), "meeting.attendees[]"},
		"note: attendee is an array":   {NoteFinalized, note(``, `,"attendees":[[{"email":"a"}]]`), "meeting.attendees[]"},
		"note: e-mail is an object":    {NoteFinalized, note(``, `,"attendees":[{"email":{"x":1}}]`), "meeting.attendees[].email is an object"},
		"note: notes is an array":      {NoteFinalized, note(`,"notes":[]`, ``), "notes is not an object"},
		"note: notes is a string":      {NoteFinalized, note(`,"notes":"x"`, ``), "notes is not an object"},
		"note: sections is an object":  {NoteFinalized, note(`,"notes":{"sections":{"annotations":1}}`, ``), "notes.sections is not an array"},
		"note: question is a number":   {NoteFinalized, note(`,"notes":{"sections":[{"questions":[1]}]}`, ``), "notes.sections[].questions[]"},
		"note: transcript is a string": {NoteFinalized, note(`,"transcript":"x"`, ``), "transcript is not an array"},
		"note: entry is an array":      {NoteFinalized, note(`,"transcript":[[{"email":"a"}]]`, ``), "transcript[]"},
		"note: content is an object":   {NoteFinalized, note(`,"transcript":[{"content":{"email":"a"}}]`, ``), "transcript[].content"},
		"note: summary is an array":    {NoteFinalized, note(`,"summary":[]`, ``), "summary is an object or array"},
		"note: job data is an array":   {NoteFinalized, note(`,"extractedJobData":[]`, ``), "extractedJobData is not an object"},
		"note: job data is a string":   {NoteFinalized, note(`,"extractedJobData":"x"`, ``), "extractedJobData is not an object"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := project(t, Options{}, c.event, c.in)
			var e *Error
			if !errors.As(err, &e) || e.Reason != InvalidPayload || !strings.Contains(e.Detail, c.detail) {
				t.Errorf("got %#v, want %s with %q", err, InvalidPayload, c.detail)
			}
		})
	}
}

func TestReasons(t *testing.T) {
	small := Options{MaxPayload: 20}
	for name, c := range map[string]struct {
		o         Options
		event, in string
		reason    string
	}{
		"unknown event":             {Options{}, "candidate.hired", `{}`, UnknownEvent},
		"as large as is allowed":    {small, InterviewResults, `{"call_id":"1234567"}`[:20], InvalidPayload},
		"larger":                    {small, InterviewResults, `{"call_id":"1234567"}`, PayloadTooLarge},
		"larger, counting space":    {small, InterviewResults, `{"call_id":"1"}      `, PayloadTooLarge},
		"larger, of unknown events": {small, "x", `{"call_id":"1"}      `, PayloadTooLarge},
	} {
		_, err := project(t, c.o, c.event, c.in)
		var e *Error
		if !errors.As(err, &e) || e.Reason != c.reason {
			t.Errorf("%s: got %#v, want %s", name, err, c.reason)
		}
	}
	if _, err := project(t, small, InterviewResults, `{"call_id":"123456"}`); err != nil {
		t.Errorf("a payload of exactly max_payload: %v", err)
	}
}

// Documents are broken at many places: no error shows what the producer wrote.
func TestErrorsShowNoContent(t *testing.T) {
	document := note(`,"CONTENT":{"CONTENT":"CONTENT"},"orgId":"CONTENT","summary":"CONTENT","extractedJobData":{"CONTENT":[{"CONTENT":1,"CONTENT":2}]}`, `,"CONTENT":["CONTENT"]`)
	for i := range len(document) {
		for _, in := range []string{document[:i], document[:i] + "\x02" + document[i:], document[:i] + `"` + document[i:]} {
			if _, err := project(t, Options{}, NoteFinalized, in); err == nil || strings.Contains(err.Error(), "CONT") {
				t.Fatalf("%s\n%v", in, err)
			}
		}
	}
}

func TestDocumentation(t *testing.T) {
	for _, c := range []struct{ event, in, want string }{
		{InterviewResults, "interview.results.json", "interview.results.json"},
		{NoteFinalized, "note.intake.json", "note.intake.json"},
		{NoteFinalized, "note.interview.json", "note.interview.json"},
		{InterviewResults, "internal.interview.results.json", "interview.results.json"},
		{NoteFinalized, "internal.note.intake.json", "note.intake.json"},
		{NoteFinalized, "internal.note.interview.json", "note.interview.json"},
	} {
		t.Run(c.in, func(t *testing.T) {
			got, err := project(t, Options{}, c.event, read(t, c.in))
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(got, "INTERNAL") {
				t.Errorf("an internal member left: %s", got)
			}
			want := decode(t, read(t, c.want))
			want["event"] = c.event
			if diff := cmp.Diff(want, decode(t, got)); diff != "" {
				t.Errorf("-want +got\n%s", diff)
			}
		})
	}
}

func read(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func decode(t testing.TB, document string) map[string]any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(document))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil {
		t.Fatal(err)
	}
	return m
}

// lacking returns the paths of documented members that no part of a value has.
func lacking(s shape, value any, path string) (paths []string) {
	var elements []any
	var documented map[string]shape
	switch s := s.(type) {
	case members:
		elements, documented = []any{value}, s
	case list:
		elements, _ = value.([]any)
		documented, path = s, path+"[]"
	default:
		return nil
	}
	for name, member := range documented {
		if member == private {
			continue
		}
		var found []any
		for _, element := range elements {
			object, _ := element.(map[string]any)
			if v, ok := object[name]; ok {
				found = append(found, v)
			}
		}
		if len(found) == 0 {
			paths = append(paths, joinPath(path, name))
			continue
		}
		paths = append(paths, lacking(member, found[0], joinPath(path, name))...)
	}
	return paths
}

// The samples are public payloads and show every documented member.
func TestSample(t *testing.T) {
	for _, event := range Events() {
		got, err := project(t, Options{}, event, string(Sample(event, "acme")))
		if err != nil || got != string(Sample(event, "acme")) {
			t.Errorf("%s is not a public payload: %v\n%s", event, err, got)
		}
		for _, path := range lacking(documented[event], decode(t, got), "") {
			t.Errorf("%s: the sample has no %s", event, path)
		}
	}
	if got := string(Sample("candidate.hired", "acme")); got != `{"event":"candidate.hired"}` {
		t.Errorf("got %s", got)
	}
}

// Different documents are projected in parallel, over pooled memory.
func TestProjectorIsConcurrent(t *testing.T) {
	p, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	var work sync.WaitGroup
	defer work.Wait()
	for i := range 8 {
		work.Go(func() {
			name := strings.Repeat(string(rune('a'+i)), 50*(i+1))
			document := note(`,"summary":"`+name+`","transcript":[{"email":"`+name+`@x","role":"R"}]`, ``)
			want := noteHead + `,"attendees":[{"email":"` + name + `@x","name":"R"}]},"summary":"` + name + `","transcript":[{"role":"R"}]` + noteTail
			for range 500 {
				got, err := p.Project(nil, Source{Event: NoteFinalized, OrgID: "acme", PublishedAt: published, Payload: []byte(document)})
				if err != nil || string(got) != want {
					t.Errorf("%v: %s", err, got)
					return
				}
				if _, err := p.Project(nil, Source{Event: NoteFinalized, Payload: []byte(document[:len(document)-1])}); err == nil {
					t.Error("a truncated document was projected")
				}
			}
		})
	}
}

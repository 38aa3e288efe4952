package payload

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// FuzzProject projects documents: no panic, valid JSON, the same when projected again, and, as
// another parser reads it, exactly what is documented.
func FuzzProject(f *testing.F) {
	for _, name := range []string{"interview.results.json", "note.intake.json", "internal.interview.results.json", "internal.note.intake.json", "internal.note.interview.json"} {
		f.Add(read(f, name), strings.Contains(name, "note"))
	}
	f.Add(`{"noteId":"n","meeting":{"type":"intake","attendees":null},"transcript":[{"em\u0061il":"\ud800","name":1}],"notes":{"sections":[{"questions":[{"annotations":1}]}]}}`, true)
	f.Add(`{"event":null,"call_id":"c","\ud800":1,"\ud801":2}`, false)
	p, err := New(Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, document string, isNote bool) {
		s := Source{Event: InterviewResults, OrgID: "acme", PublishedAt: published, Payload: []byte(document)}
		if isNote {
			s.Event = NoteFinalized
		}
		out, err := p.Project(nil, s)
		if string(s.Payload) != document {
			t.Fatal("the payload was written to")
		}
		if err != nil {
			var e *Error
			if !errors.As(err, &e) || len(out) > 0 || e.Detail == "" {
				t.Fatalf("%#v, %s", err, out)
			}
			return
		}
		if !json.Valid([]byte(document)) || !json.Valid(out) {
			t.Fatalf("%s became %s", document, out)
		}
		var v map[string]any
		d := json.NewDecoder(bytes.NewReader(out))
		d.UseNumber() // 1e400 does not fit a float64
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
		onlyDocumented(t, documented[s.Event], v, "")
		sameAs(t, naive(t, s), string(out))
		s.Payload = out
		if again, err := p.Project(nil, s); err != nil || !bytes.Equal(again, out) {
			t.Fatalf("%s became %s, %v", out, again, err)
		}
	})
}

// onlyDocumented fails where v has an undocumented member.
func onlyDocumented(t *testing.T, s shape, v any, path string) {
	object := func(of map[string]shape, v any) {
		fields, isObject := v.(map[string]any)
		if !isObject && v != nil {
			t.Fatalf("%s is %T", path, v)
		}
		for name, value := range fields {
			member := of[name]
			if member == nil || member == private {
				t.Fatalf("%s.%s leaves", path, name)
			}
			onlyDocumented(t, member, value, path+"."+name)
		}
	}
	switch s := s.(type) {
	case members:
		object(s, v)
	case list:
		elements, isArray := v.([]any)
		if !isArray && v != nil {
			t.Fatalf("%s is %T", path, v)
		}
		for _, e := range elements {
			object(s, e)
		}
	case leaf:
		switch v.(type) {
		case map[string]any:
			if s == scalar {
				t.Fatalf("%s is an object", path)
			}
		case []any:
			if s != raw {
				t.Fatalf("%s is an array", path)
			}
		}
	}
}

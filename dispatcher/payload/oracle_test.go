package payload

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

// naive projects a document by decoding it all, as the specification reads. The fuzz test compares
// its result with that of the projection.
func naive(t *testing.T, s Source) map[string]any {
	t.Helper()
	v := decode(t, string(s.Payload))
	out, _ := filter(documented[s.Event], v).(map[string]any)
	set := func(name string, value any) {
		if out[name] == nil {
			out[name] = value
		}
	}
	set("event", s.Event)
	if s.Event != NoteFinalized {
		return out
	}
	set("orgId", s.OrgID)
	set("timestamp", s.PublishedAt.UTC().Format(time.RFC3339))
	for _, name := range []string{"candidateId", "jobId", "remoteJobId", "extractedJobData", "extractedCandidateData"} {
		set(name, nil)
	}
	meeting, _ := out["meeting"].(map[string]any)
	if meeting["type"] == interview {
		out["extractedJobData"] = nil
	} else {
		out["extractedCandidateData"] = nil
	}
	if list, isList := meeting["attendees"].([]any); isList {
		meeting["attendees"] = unique(list)
	} else {
		meeting["attendees"] = speakersOf(v["transcript"])
	}
	return out
}

// filter returns the documented members.
func filter(s shape, v any) any {
	object := func(of map[string]shape, v any) any {
		fields, isObject := v.(map[string]any)
		if !isObject {
			return v
		}
		out := map[string]any{}
		for name, value := range fields {
			if member := of[name]; member != nil && member != private {
				out[name] = filter(member, value)
			}
		}
		return out
	}
	switch s := s.(type) {
	case members:
		return object(s, v)
	case list:
		elements, isList := v.([]any)
		if !isList {
			return v
		}
		out := make([]any, 0, len(elements))
		for _, e := range elements {
			out = append(out, object(s, e))
		}
		return out
	}
	return v
}

func text(v any, name string) string {
	fields, _ := v.(map[string]any)
	s, _ := fields[name].(string)
	return s
}

func unique(attendees []any) []any {
	out := []any{}
	seen := map[string]bool{}
	for _, a := range attendees {
		email := text(a, "email")
		if email != "" && seen[email] {
			continue
		}
		seen[email] = true
		out = append(out, a)
	}
	return out
}

func speakersOf(transcript any) []any {
	entries, _ := transcript.([]any)
	out := []any{}
	seen := map[string]map[string]any{}
	for _, e := range entries {
		email := text(e, "email")
		if email == "" {
			continue
		}
		name := text(e, "name")
		if name == "" {
			name = text(e, "role")
		}
		person := seen[email]
		if person == nil {
			person = map[string]any{"email": email, "name": nil}
			seen[email] = person
			out = append(out, person)
		}
		if person["name"] == nil && name != "" {
			person["name"] = name
		}
	}
	return out
}

// sameAs fails where the public payload differs from the result of naive.
func sameAs(t *testing.T, want map[string]any, got string) {
	t.Helper()
	if strings.Contains(strings.ToLower(got), `\ud`) {
		return // naive reads a lone surrogate as a replacement character
	}
	w, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	g, err := json.Marshal(decode(t, got))
	if err != nil {
		t.Fatal(err)
	}
	if string(w) != string(g) {
		t.Fatalf("want %s\ngot  %s", w, g)
	}
}

package payload

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// What holds for every documented event holds for a new one, too, without any row for it in the
// tables: one `event`, which is its own, and no organization but the stream's. The made-up events
// have tables with all, some and none of these members.
func TestEveryEvent(t *testing.T) {
	for name, table := range map[string]members{
		"made.up":        {"x": raw},
		"made.up.event":  {"x": raw, "event": scalar},
		"made.up.raw":    {"x": raw, "event": raw, "nested": members{"event": scalar, "orgId": scalar}},
		"made.up.orgId":  {"x": raw, "orgId": scalar},
		"made.up.org_id": {"x": raw, "org_id": scalar},
		"made.up.hidden": {"x": raw, "event": private, "orgId": private},
	} {
		documented[name] = table
		t.Cleanup(func() { delete(documented, name) })
	}
	least := map[string]string{InterviewResults: `"call_id":"c"`, NoteFinalized: `"noteId":"n","meeting":{"type":"intake"}`}
	for _, event := range Events() {
		body := least[event]
		if body == "" {
			body = `"x":{"event":1,"orgId":2}`
		}
		with := func(first string) string { return "{" + strings.TrimPrefix(first+","+body, ",") + "}" }
		quoted := fmt.Sprintf("%q", event)
		for what, in := range map[string]string{
			"absent":                  with(``),
			"null":                    with(`"event":null`),
			"named":                   with(`"event":` + quoted),
			"named, escaped":          with(`"\u0065vent":"\u00` + fmt.Sprintf("%02x", event[0]) + event[1:] + `"`),
			"named last":              "{" + body + `,"event":` + quoted + "}",
			"of its organization":     with(`"orgId":"acme","org_id":"acme"`),
			"of no organization":      with(`"orgId":null,"org_id":null`),
			"its organization, again": with(`"org\u0049d":"\u0061cme"`),
		} {
			out, err := project(t, Options{}, event, in)
			if err != nil {
				t.Errorf("%s, %s: %v", event, what, err)
				continue
			}
			onlyOnce(t, out)
			fields := decode(t, out)
			if fields["event"] != event {
				t.Errorf("%s, %s: left as %s", event, what, out)
			}
			orgID, leaves := fields["orgId"]
			if _, has := documented[event]["orgId"]; has && documented[event]["orgId"] != private && orgID != "acme" || leaves && orgID != "acme" {
				t.Errorf("%s, %s: orgId is %v in %s", event, what, orgID, out)
			}
			if id := fields["org_id"]; id != nil && id != "acme" {
				t.Errorf("%s, %s: org_id is %v in %s", event, what, id, out)
			}
			if again, err := project(t, Options{}, event, out); err != nil || again != out {
				t.Errorf("%s, %s: projected again it is %s, %v", event, what, again, err)
			}
		}
		for _, contradiction := range []string{
			`"event":"another.event"`, `"event":1`, `"event":{}`, `"event":[]`, `"ev\u0065nt":""`, `"event":` + quoted + `,"event":` + quoted,
			`"orgId":"other"`, `"org_id":"other"`, `"orgId":""`, `"org\u0049d":"other"`, `"orgId":"acme","org_id":"other"`,
		} {
			out, err := project(t, Options{}, event, with(contradiction))
			var e *Error
			if !errors.As(err, &e) || e.Reason != InvalidPayload {
				t.Errorf("%s with %s left as %s, %v", event, contradiction, out, err)
			}
		}
	}
	// Where the organization leaves, it leaves as the stream's and as nothing else.
	for _, c := range []struct{ event, member string }{{"made.up.orgId", "orgId"}, {"made.up.org_id", "org_id"}, {NoteFinalized, "orgId"}} {
		for _, v := range []string{`7`, `true`, `{"a":1}`, `["acme"]`} {
			body := least[c.event]
			if body == "" {
				body = `"x":1`
			}
			if out, err := project(t, Options{}, c.event, fmt.Sprintf(`{%q:%s,%s}`, c.member, v, body)); err == nil {
				t.Errorf("%s: %s of %s left as %s", c.event, c.member, v, out)
			}
		}
	}
}

// onlyOnce fails where an object of the document has a member twice.
func onlyOnce(t *testing.T, document string) {
	t.Helper()
	d := jsontext.NewDecoder(strings.NewReader(document)) // refuses duplicate names
	for {
		if _, err := d.ReadToken(); errors.Is(err, io.EOF) {
			return
		} else if err != nil {
			t.Fatalf("%s: %v", document, err)
		}
	}
}

// An event that requires a member is refused without it, whatever the event.
func TestRequiredMember(t *testing.T) {
	documented["made.up"], rules["made.up"] = members{"key": raw}, map[string]rule{"key": ruleRequired}
	t.Cleanup(func() { delete(documented, "made.up"); delete(rules, "made.up") })
	for in, detail := range map[string]string{`{}`: "key is absent", `{"key":null}`: "key must be", `{"key":1}`: "key must be", `{"key":""}`: "key must be"} {
		if out, err := project(t, Options{}, "made.up", in); err == nil || !strings.Contains(err.Error(), detail) {
			t.Errorf("%s left as %s, %v", in, out, err)
		}
	}
	if out, err := project(t, Options{}, "made.up", `{"key":"k"}`); err != nil || out != `{"event":"made.up","key":"k"}` {
		t.Errorf("%s, %v", out, err)
	}
}

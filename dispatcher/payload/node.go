package payload

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// node is a member of the table, with what the operator lets pass, ready for the walk.
type node struct {
	path    string // for people: "meeting.attendees[].email"
	kind    kind
	duty    duty
	open    bool // an object of which undocumented members leave too
	members map[string]*node
}

// kind says which values leave, and how.
type kind uint8

const (
	kindDropped kind = iota // nothing leaves
	kindScalar
	kindWhole
	kindWholeObject
	kindObject
	kindList
	kindThrough // undocumented, on the way to a passed member: an object or array of objects is walked, anything else is dropped
)

// duty is what the projection has to do at a member beyond letting it leave.
type duty uint8

const (
	noDuty duty = iota
	dutyEvent
	dutyOrg   // judged: names the organization
	dutyOrgID // judged, and set where absent
	dutyRequired
	dutyTimestamp
	dutyMeeting
	dutyMeetingType
	dutyAttendees
	dutyAttendeeEmail
	dutyTranscript
	dutyCandidateID
	dutyJobID
	dutyRemoteJobID
	dutyJobData
	dutyCandidateData
	dutyEntryEmail // of a transcript entry; these three make up an absent attendee list
	dutyEntryName
	dutyEntryRole
)

// duties by event and path. A member named here that the table does not have is read, and does not leave.
var duties = map[string]map[string]duty{
	InterviewResults: {"event": dutyEvent, "call_id": dutyRequired, "orgId": dutyOrg, "org_id": dutyOrg},
	NoteFinalized: {
		"event": dutyEvent, "org_id": dutyOrg, "orgId": dutyOrgID, "noteId": dutyRequired, "timestamp": dutyTimestamp,
		"meeting": dutyMeeting, "meeting.type": dutyMeetingType,
		"meeting.attendees": dutyAttendees, "meeting.attendees.email": dutyAttendeeEmail,
		"candidateId": dutyCandidateID, "jobId": dutyJobID, "remoteJobId": dutyRemoteJobID,
		"extractedJobData": dutyJobData, "extractedCandidateData": dutyCandidateData,
		"transcript": dutyTranscript, "transcript.email": dutyEntryEmail, "transcript.name": dutyEntryName, "transcript.role": dutyEntryRole,
	},
}

// passedEvent is the tree of an event whose payload leaves as published.
func passedEvent() *node {
	return &node{kind: kindObject, open: true, members: map[string]*node{
		"event":  {path: "event", kind: kindScalar, duty: dutyEvent},
		"orgId":  {path: "orgId", kind: kindWhole, duty: dutyOrg},
		"org_id": {path: "org_id", kind: kindWhole, duty: dutyOrg},
	}}
}

// documentedEvent is the tree of a documented event with the paths that the operator lets pass.
func documentedEvent(event string, passed []string) (*node, error) {
	root := build(documented[event], "")
	for path, d := range duties[event] {
		n := root
		for name := range strings.SplitSeq(path, ".") {
			child := n.members[name]
			if child == nil {
				child = &node{path: path, kind: kindDropped}
				n.members[name] = child
			}
			n = child
		}
		n.duty = d
	}
	for _, path := range passed {
		if err := pass(root, documented[event], path); err != nil {
			return nil, fmt.Errorf("pass_members %s: %w", event, err)
		}
	}
	return root, nil
}

func build(s shape, path string) *node {
	n := &node{path: path}
	var of map[string]shape
	switch s := s.(type) {
	case word:
		n.kind = [...]kind{scalar: kindScalar, whole: kindWhole, wholeObject: kindWholeObject, never: kindDropped}[s]
		return n
	case members:
		n.kind, of = kindObject, s
	case list:
		n.kind, of = kindList, s
		n.path += "[]"
	}
	n.members = make(map[string]*node, len(of))
	for name, member := range of {
		n.members[name] = build(member, join(n.path, name))
	}
	return n
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// pass lets the member at path leave whole.
func pass(root *node, s shape, path string) error {
	names := strings.Split(path, ".")
	n := root
	for i, name := range names {
		if name == "" {
			return fmt.Errorf("%q is no path of member names with dots between them", path)
		}
		s = memberOf(s, name)
		if s == never {
			return fmt.Errorf("%q never leaves", path)
		}
		child := n.members[name]
		if child == nil {
			child = &node{path: join(n.path, name), kind: kindDropped}
			n.members[name] = child
		}
		n = child
		if i < len(names)-1 {
			switch n.kind {
			case kindScalar:
				return fmt.Errorf("%q runs through a member that is no object", path)
			case kindWhole, kindWholeObject:
				return nil // it leaves whole already
			case kindDropped:
				n.kind, n.members = kindThrough, map[string]*node{}
			}
			continue
		}
		switch n.kind {
		case kindObject, kindList:
			return fmt.Errorf("%q is documented member by member: name the further members", path)
		case kindWholeObject: // it leaves whole already, and what is promised of it still holds
		case kindScalar:
			if n.duty == noDuty {
				n.kind = kindWhole
			}
		default:
			n.kind, n.members = kindWhole, nil
		}
	}
	return nil
}

func memberOf(s shape, name string) shape {
	switch s := s.(type) {
	case members:
		return s[name]
	case list:
		return s[name]
	}
	return nil
}

// eventName is what a passed event may be called: it becomes the value of a metric label.
var eventName = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,128}$`)

// UnknownLabel is the metric label of events that are neither documented nor passed, and so no event's name.
const UnknownLabel = "unknown"

func checkPassedEvent(name string, known map[string]*node) error {
	switch {
	case !eventName.MatchString(name) || name == UnknownLabel:
		return fmt.Errorf("pass_event: %q cannot name an event: 1 to 128 of A-Z a-z 0-9 . _ : -, and not %q", name, UnknownLabel)
	case slices.Contains(Events(), name):
		return fmt.Errorf("pass_event: %q is documented: only its documented members leave; see pass_members", name)
	case known[name] != nil:
		return fmt.Errorf("pass_event: %q stands twice", name)
	}
	return nil
}

package payload

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// node is a member of the table, with what the operator lets pass, prepared for the walk.
type node struct {
	path    string // for messages: "meeting.attendees[].email"
	kind    kind
	rule    rule
	open    bool // an object of which undocumented members leave too
	members map[string]*node

	// Of the root: the path of the member that the event requires, and whether orgId is set where
	// absent.
	required string
	setsOrg  bool
}

// kind says which values of a member leave, and how.
type kind uint8

const (
	kindDropped kind = iota // nothing leaves
	kindScalar
	kindRaw
	kindRawObject
	kindObject
	kindList
	// An undocumented member on the path to a passed one: an object or array of objects is walked,
	// any other value is dropped.
	kindTraverse
)

// rule is what the projection does at a member beyond letting it leave.
type rule uint8

const (
	noRule rule = iota
	ruleEvent
	ruleOrg   // must be the organization: where it is a string, or where it is a documented scalar
	ruleOrgID // must be the organization; set where absent
	ruleRequired
	ruleTimestamp
	ruleMeeting
	ruleMeetingType
	ruleAttendees
	ruleAttendeeEmail
	ruleTranscript
	ruleCandidateID
	ruleJobID
	ruleRemoteJobID
	ruleJobData
	ruleCandidateData
	ruleEntryEmail // of a transcript entry: these three make the attendees where absent
	ruleEntryName
	ruleEntryRole
)

// rules are the rules by event and path, beside those that every event has (commonRules). A member
// that is here but not in the table is read, and does not leave.
var rules = map[string]map[string]rule{
	InterviewResults: {"call_id": ruleRequired},
	NoteFinalized: {
		"noteId": ruleRequired, "timestamp": ruleTimestamp,
		"meeting": ruleMeeting, "meeting.type": ruleMeetingType,
		"meeting.attendees": ruleAttendees, "meeting.attendees.email": ruleAttendeeEmail,
		"candidateId": ruleCandidateID, "jobId": ruleJobID, "remoteJobId": ruleRemoteJobID,
		"extractedJobData": ruleJobData, "extractedCandidateData": ruleCandidateData,
		"transcript": ruleTranscript, "transcript.email": ruleEntryEmail, "transcript.name": ruleEntryName, "transcript.role": ruleEntryRole,
	},
}

// passedEvent returns the tree of an event whose payload leaves as published.
func passedEvent() *node {
	return &node{kind: kindObject, open: true, members: map[string]*node{
		"event":  {path: "event", kind: kindScalar, rule: ruleEvent},
		"orgId":  {path: "orgId", kind: kindRaw, rule: ruleOrg},
		"org_id": {path: "org_id", kind: kindRaw, rule: ruleOrg},
	}}
}

// documentedEvent returns the tree of a documented event, with the paths that the operator lets
// pass.
func documentedEvent(event string, passed []string) (*node, error) {
	root := buildNode(documented[event], "")
	commonRules(root)
	for path, d := range rules[event] {
		n := root
		for name := range strings.SplitSeq(path, ".") {
			child := n.members[name]
			if child == nil {
				child = &node{path: path, kind: kindDropped}
				n.members[name] = child
			}
			n = child
		}
		n.rule = d
		if d == ruleRequired {
			root.required = path
		}
	}
	for _, path := range passed {
		if err := passMember(root, documented[event], path); err != nil {
			return nil, fmt.Errorf("pass_members %s: %w", event, err)
		}
	}
	return root, nil
}

// commonRules sets what holds for every documented event, whether its table and its rules have it
// or not: it has one `event`, which leaves, and neither spelling of the organization contradicts
// the stream. A documented orgId is also set where absent.
func commonRules(root *node) {
	root.members["event"] = &node{path: "event", kind: kindScalar, rule: ruleEvent}
	for _, name := range [...]string{"orgId", "org_id"} {
		n := root.members[name]
		if n == nil {
			n = &node{path: name, kind: kindDropped}
			root.members[name] = n
		}
		n.rule = ruleOrg
	}
	if n := root.members["orgId"]; n.kind != kindDropped {
		n.rule, root.setsOrg = ruleOrgID, true
	}
}

func buildNode(s shape, path string) *node {
	n := &node{path: path}
	var of map[string]shape
	switch s := s.(type) {
	case leaf:
		n.kind = [...]kind{scalar: kindScalar, raw: kindRaw, rawObject: kindRawObject, private: kindDropped}[s]
		return n
	case members:
		n.kind, of = kindObject, s
	case list:
		n.kind, of = kindList, s
		n.path += "[]"
	}
	n.members = make(map[string]*node, len(of))
	for name, member := range of {
		n.members[name] = buildNode(member, joinPath(n.path, name))
	}
	return n
}

func joinPath(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// passMember lets the member at path leave as published.
func passMember(root *node, s shape, path string) error {
	names := strings.Split(path, ".")
	n := root
	for i, name := range names {
		if name == "" {
			return fmt.Errorf("%q is not a path of member names with dots between them", path)
		}
		s = memberOf(s, name)
		if s == private {
			return fmt.Errorf("%q never leaves", path)
		}
		child := n.members[name]
		if child == nil {
			child = &node{path: joinPath(n.path, name), kind: kindDropped}
			n.members[name] = child
		}
		n = child
		if i < len(names)-1 {
			switch n.kind {
			case kindScalar:
				return fmt.Errorf("%q runs through a member that is not an object", path)
			case kindRaw, kindRawObject:
				return nil // it leaves as published already
			case kindDropped:
				n.kind, n.members = kindTraverse, map[string]*node{}
			}
			continue
		}
		switch n.kind {
		case kindObject, kindList:
			return fmt.Errorf("%q is documented member by member: name the members to pass", path)
		case kindRawObject: // it leaves as published already, and its check stays
		case kindScalar:
			if n.rule == noRule {
				n.kind = kindRaw
			}
		default:
			n.kind, n.members = kindRaw, nil
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

// eventName matches the names that a passed event may have: it becomes the value of a metric label.
var eventName = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,128}$`)

// UnknownLabel is the metric label of events that are neither documented nor passed. No event may
// have this name.
const UnknownLabel = "unknown"

func checkPassedEvent(name string, known map[string]*node) error {
	switch {
	case !eventName.MatchString(name) || name == UnknownLabel:
		return fmt.Errorf("pass_event: invalid name %q: must be 1 to 128 of A-Z a-z 0-9 . _ : - and not %q", name, UnknownLabel)
	case slices.Contains(Events(), name):
		return fmt.Errorf("pass_event: %q is documented: only its documented members leave; see pass_members", name)
	case known[name] != nil:
		return fmt.Errorf("pass_event: duplicate event %q", name)
	}
	return nil
}

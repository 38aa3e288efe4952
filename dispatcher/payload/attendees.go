package payload

// speaker is the speaker of a transcript entry. Each part is JSON text, nil where absent.
type speaker struct{ email, name, role []byte }

// speakers are the speakers of a transcript, unique by e-mail, in first-seen order. They are the
// attendees where the producer named none.
type speakers struct {
	list  []speaker
	index map[string]int // by decoded e-mail
}

// maxKeptIndex is the size of the largest index that is kept for the next projection.
const maxKeptIndex = 256

// beginElement prepares for the next element of a list.
func (w *walk) beginElement(n *node) {
	switch n.rule {
	case ruleAttendees:
		w.markSeen(ruleAttendees)
		w.email = nil
	case ruleTranscript:
		w.entry = speaker{}
	}
}

// endElement applies the rule of a list to the element just read. It says whether the element
// leaves.
func (w *walk) endElement(n *node) bool {
	leaves := true
	switch n.rule {
	case ruleAttendees:
		leaves = !isNonEmptyString(w.email) || w.isFirstAttendee()
	case ruleTranscript:
		if isNonEmptyString(w.entry.email) {
			w.addSpeaker()
		}
	}
	w.beginElement(n)
	return leaves
}

// isNonEmptyString says whether a JSON value is a string that is not empty.
func isNonEmptyString(v []byte) bool { return len(v) > len(`""`) && v[0] == '"' }

// isFirstAttendee says whether the attendee just read is the first with that e-mail.
func (w *walk) isFirstAttendee() bool {
	email := w.decoded(w.email)
	if _, found := w.seenEmails[string(email)]; found {
		return false
	}
	if w.seenEmails == nil {
		w.seenEmails = make(map[string]struct{})
	}
	w.seenEmails[string(email)] = struct{}{}
	return true
}

// addSpeaker records the speaker of the transcript entry just read.
func (w *walk) addSpeaker() {
	name := w.entry.name
	if !isNonEmptyString(name) {
		name = w.entry.role
	}
	email := w.decoded(w.entry.email)
	if i, found := w.speakers.index[string(email)]; found {
		if known := &w.speakers.list[i]; !isNonEmptyString(known.name) && isNonEmptyString(name) {
			known.name = name
		}
		return
	}
	if w.speakers.index == nil {
		w.speakers.index = make(map[string]int)
	}
	w.speakers.index[string(email)] = len(w.speakers.list)
	w.speakers.list = append(w.speakers.list, speaker{email: w.entry.email, name: name})
}

// finalizeAttendees derives the attendees from the transcript where the producer named none.
func (w *walk) finalizeAttendees() {
	null := w.attendees.kind == 'n'
	if w.hasSeen(ruleAttendees) && !null {
		return
	}
	from := len(w.inserted)
	if !null {
		w.inserted = append(w.inserted, `,"attendees":`...)
	}
	w.inserted = append(w.inserted, '[')
	for i, s := range w.speakers.list {
		if i > 0 {
			w.inserted = append(w.inserted, ',')
		}
		w.inserted = append(append(w.inserted, `{"email":`...), s.email...)
		w.inserted = append(w.inserted, `,"name":`...)
		if isNonEmptyString(s.name) {
			w.inserted = append(w.inserted, s.name...)
		} else {
			w.inserted = append(w.inserted, "null"...)
		}
		w.inserted = append(w.inserted, '}')
	}
	w.inserted = append(w.inserted, ']')
	w.patch(w.attendees, from)
}

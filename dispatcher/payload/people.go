package payload

// person is a transcript entry's speaker, each part as JSON text, nil where absent.
type person struct{ email, name, role []byte }

// people are the speakers of a transcript, unique by e-mail, in first-seen order: the attendees where the producer named none.
type people struct {
	list  []person
	index map[string]int // by decoded e-mail
}

// keptPeople is the largest index that is kept for the next projection.
const keptPeople = 256

// begin prepares for the elements of a list.
func (w *walk) begin(n *node) {
	switch n.duty {
	case dutyAttendees:
		w.stand(dutyAttendees)
		w.email = nil
	case dutyTranscript:
		w.entry = person{}
	}
}

// element does what a list has to do after one of its elements and says whether that one leaves.
func (w *walk) element(n *node) bool {
	leaves := true
	switch n.duty {
	case dutyAttendees:
		leaves = !isText(w.email) || w.addGuest()
	case dutyTranscript:
		if isText(w.entry.email) {
			w.addSpeaker()
		}
	}
	w.begin(n)
	return leaves
}

// isText says whether a JSON value is a string that is not empty.
func isText(raw []byte) bool { return len(raw) > len(`""`) && raw[0] == '"' }

// addGuest says whether the attendee just read is the first with that e-mail.
func (w *walk) addGuest() bool {
	email := w.decoded(w.email)
	if _, found := w.guests[string(email)]; found {
		return false
	}
	if w.guests == nil {
		w.guests = make(map[string]struct{})
	}
	w.guests[string(email)] = struct{}{}
	return true
}

// addSpeaker notes the speaker of the transcript entry just read.
func (w *walk) addSpeaker() {
	name := w.entry.name
	if !isText(name) {
		name = w.entry.role
	}
	email := w.decoded(w.entry.email)
	if i, found := w.people.index[string(email)]; found {
		if known := &w.people.list[i]; !isText(known.name) && isText(name) {
			known.name = name
		}
		return
	}
	if w.people.index == nil {
		w.people.index = make(map[string]int)
	}
	w.people.index[string(email)] = len(w.people.list)
	w.people.list = append(w.people.list, person{email: w.entry.email, name: name})
}

// settleAttendees derives the attendees where the producer named none.
func (w *walk) settleAttendees() {
	null := w.attendee.kind == 'n'
	if w.standing(dutyAttendees) && !null {
		return
	}
	from := len(w.set)
	if !null {
		w.set = append(w.set, `,"attendees":`...)
	}
	w.set = append(w.set, '[')
	for i, p := range w.people.list {
		if i > 0 {
			w.set = append(w.set, ',')
		}
		w.set = append(append(w.set, `{"email":`...), p.email...)
		w.set = append(w.set, `,"name":`...)
		if isText(p.name) {
			w.set = append(w.set, p.name...)
		} else {
			w.set = append(w.set, "null"...)
		}
		w.set = append(w.set, '}')
	}
	w.set = append(w.set, ']')
	w.patch(w.attendee, from)
}

package payload

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Projector makes public payloads. It is immutable and safe for concurrent use.
type Projector struct {
	maxPayload int
	events     []string
	roots      map[string]*node // by event
}

// New returns a projector, or an error that names the option at fault.
func New(o Options) (*Projector, error) {
	p := &Projector{maxPayload: o.MaxPayload, events: Events(), roots: map[string]*node{}}
	if p.maxPayload == 0 {
		p.maxPayload = DefaultMaxPayload
	}
	if p.maxPayload < 0 {
		return nil, errors.New("max_payload: must not be negative")
	}
	for event := range maps.Keys(o.PassMembers) {
		if documented[event] == nil {
			return nil, fmt.Errorf("pass_members: %q is no documented event: there are %v", event, Events())
		}
	}
	for event := range documented {
		root, err := documentedEvent(event, o.PassMembers[event])
		if err != nil {
			return nil, err
		}
		p.roots[event] = root
	}
	for _, event := range o.PassEvents {
		if err := checkPassedEvent(event, p.roots); err != nil {
			return nil, err
		}
		p.roots[event] = passedEvent()
		p.events = append(p.events, event)
	}
	return p, nil
}

// Events returns the events this projector knows, the documented ones first: the values of the metric label `event`, beside "unknown".
func (p *Projector) Events() []string { return slices.Clone(p.events) }

// Events returns the documented events.
func Events() []string { return slices.Sorted(maps.Keys(documented)) }

// Project appends the public payload of s to dst. The error is an *Error; dst is then returned as it was.
func (p *Projector) Project(dst []byte, s Source) ([]byte, error) {
	root := p.roots[s.Event]
	switch {
	case len(s.Payload) > p.maxPayload:
		return dst, &Error{PayloadTooLarge, fmt.Sprintf("the payload has %d bytes; max_payload is %d", len(s.Payload), p.maxPayload)}
	case root == nil:
		return dst, &Error{UnknownEvent, "the event is neither documented nor listed in pass_event"}
	case !utf8.Valid(s.Payload):
		return dst, invalid("the payload is not valid UTF-8")
	case len(s.Payload) == 0:
		return dst, invalid("the payload is empty; it must be a JSON object")
	}
	w := walks.Get().(*walk)
	defer w.free()
	if err := w.run(root, s); err != nil {
		return dst, err
	}
	return w.assemble(dst), nil
}

// walks keeps the memory of walks between projections.
var walks = sync.Pool{New: func() any { return &walk{decoder: new(jsontext.Decoder)} }}

// keptBytes is the largest buffer that is kept for the next projection.
const keptBytes = 64 << 10

// free gives the walk back without anything of the event it was used for.
func (w *walk) free() {
	if cap(w.out) > keptBytes {
		return
	}
	w.input = *bytes.NewBuffer(nil)
	w.decoder.Reset(&w.input)
	clear(w.people.list)
	clean := walk{
		decoder: w.decoder,
		out:     w.out[:0],
		name:    w.name[:0],
		set:     w.set[:0],
		patches: w.patches[:0],
		people:  people{list: w.people.list[:0]},
	}
	if len(w.guests) <= keptPeople {
		clear(w.guests)
		clean.guests = w.guests
	}
	if len(w.people.index) <= keptPeople {
		clear(w.people.index)
		clean.people.index = w.people.index
	}
	*w = clean
	walks.Put(w)
}

func invalid(format string, args ...any) *Error {
	return &Error{InvalidPayload, fmt.Sprintf(format, args...)}
}

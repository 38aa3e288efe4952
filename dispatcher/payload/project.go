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

// New returns a Projector, or an error that names the invalid option.
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
			return nil, fmt.Errorf("pass_members: %q is not a documented event: there are %v", event, Events())
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

// Events returns the events that this projector knows, the documented ones first. With "unknown"
// they are the values of the metric label `event`.
func (p *Projector) Events() []string { return slices.Clone(p.events) }

// Events returns the documented events.
func Events() []string { return slices.Sorted(maps.Keys(documented)) }

// Project appends the public payload of s to dst. Its error is an *Error; dst is then returned
// unchanged.
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
	defer w.release()
	if err := w.run(root, s); err != nil {
		return dst, err
	}
	return w.assemble(dst), nil
}

// walks pools the memory of walks.
var walks = sync.Pool{New: func() any { return &walk{decoder: new(jsontext.Decoder)} }}

// maxKeptBytes is the size of the largest buffer that is kept for the next projection.
const maxKeptBytes = 64 << 10

// release returns the walk to the pool, without anything of the event that it was used for.
func (w *walk) release() {
	if cap(w.out) > maxKeptBytes {
		return
	}
	w.input = *bytes.NewBuffer(nil)
	w.decoder.Reset(&w.input)
	clear(w.speakers.list)
	clean := walk{
		decoder:  w.decoder,
		out:      w.out[:0],
		name:     w.name[:0],
		inserted: w.inserted[:0],
		patches:  w.patches[:0],
		speakers: speakers{list: w.speakers.list[:0]},
	}
	if len(w.seenEmails) <= maxKeptIndex {
		clear(w.seenEmails)
		clean.seenEmails = w.seenEmails
	}
	if len(w.speakers.index) <= maxKeptIndex {
		clear(w.speakers.index)
		clean.speakers.index = w.speakers.index
	}
	*w = clean
	walks.Put(w)
}

func invalid(format string, args ...any) *Error {
	return &Error{InvalidPayload, fmt.Sprintf(format, args...)}
}

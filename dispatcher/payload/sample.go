package payload

import (
	"embed"
	"fmt"
	"path"
	"time"
)

//go:embed samples
var samples embed.FS

// sampleProjector projects the samples, which need no option.
var sampleProjector = func() *Projector {
	p, err := New(Options{})
	if err != nil {
		panic(err)
	}
	return p
}()

// Sample returns a complete, realistic public payload of event for org as of now, for test
// deliveries. Its ids begin with "sample-". For an event that is not documented it is the minimal
// payload.
func Sample(event, org string) []byte {
	document, err := samples.ReadFile(path.Join("samples", event+".json"))
	if err != nil {
		return append(quote([]byte(`{"event":`), event), '}')
	}
	sample, err := sampleProjector.Project(nil, Source{Event: event, OrgID: org, PublishedAt: time.Now(), Payload: document})
	if err != nil {
		// A test projects each.
		panic(fmt.Sprintf("the sample of %s is not a public payload: %v", event, err))
	}
	return sample
}

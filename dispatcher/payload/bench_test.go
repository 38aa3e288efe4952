package payload

import (
	"strings"
	"testing"
)

// BenchmarkProject projects documents of about 2 kB, as published.
func BenchmarkProject(b *testing.B) {
	internal := read(b, "internal.note.intake.json")
	for name, s := range map[string]Source{
		"internal note": {Event: NoteFinalized, Payload: []byte(internal)},
		"public note":   {Event: NoteFinalized, Payload: Sample(NoteFinalized, "acme")},
		"interview": {Event: InterviewResults, Payload: []byte(strings.Replace(string(Sample(InterviewResults, "acme")),
			"Go?", strings.Repeat("What about Go? ", 70), 1))},
	} {
		s.OrgID, s.PublishedAt = "acme", published
		b.Run(name, func(b *testing.B) {
			p, err := New(Options{})
			if err != nil {
				b.Fatal(err)
			}
			var dst []byte
			b.SetBytes(int64(len(s.Payload)))
			b.ReportAllocs()
			for b.Loop() {
				if dst, err = p.Project(dst[:0], s); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

package attempt

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/tenzo-ai/tenzo-gateway/config/webhook"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// BenchmarkSend compares an attempt, signed and checked, with a bare net/http loop that posts the
// same 2 kB to the same receiver.
func BenchmarkSend(b *testing.B) {
	recv := harness.NewReceiver(b, harness.ReceiverOptions{Forget: true})
	payload := bytes.Repeat([]byte("x"), 2000)
	b.Run("bare", func(b *testing.B) {
		transport := &http.Transport{TLSClientConfig: recv.CA().ClientConfig(), MaxIdleConnsPerHost: 64}
		client := &http.Client{Transport: transport}
		b.Cleanup(transport.CloseIdleConnections)
		b.ReportAllocs()
		b.SetParallelism(16)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				answer, err := client.Post(recv.URL(), "application/json", bytes.NewReader(payload))
				if err != nil {
					b.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
			}
		})
	})
	b.Run("attempt", func(b *testing.B) {
		s := newSender(b, recv.CA())
		r := Request{Webhook: webhook.Webhook{URL: recv.URL(), Secret: webhook.NewSecret(webhook.GenerateSecret())}, Event: "note.finalized", ID: "note", Body: payload}
		b.ReportAllocs()
		b.SetParallelism(16)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if result := s.Send(b.Context(), r); !result.Acknowledged {
					b.Error(result.Error)
					return
				}
			}
		})
	})
}

func BenchmarkRequest(b *testing.B) {
	s := newSender(b, nil)
	r := Request{Webhook: webhook.Webhook{URL: "https://hooks.example.com/x", Secret: webhook.NewSecret(webhook.GenerateSecret())}, Event: "note.finalized", ID: "note", Body: bytes.Repeat([]byte("x"), 2000)}
	b.ReportAllocs()
	for b.Loop() {
		t := s.resolveTarget(r.Webhook)
		if req := s.request(b.Context(), r, t, new(attemptState)); req.ContentLength != 2000 {
			b.Fatal(req)
		}
	}
}

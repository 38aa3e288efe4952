package attempt

import (
	"context"
	"io"
	"net/http"
	"sync"
)

// Bounds of what is read of an answer's body, so that the connection can be used again.
const (
	maxBodyBytes = 64 << 10
	maxDrains    = 1024 // answers whose body is still awaited
	maxHostDrain = 64   // of them, those of one host: one that drips does not cost the others their connections
)

// drains counts the bodies that are read beside the attempts.
type drains struct {
	mu     sync.Mutex
	total  int
	byHost map[string]int
}

func (d *drains) enter(host string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.total == maxDrains || d.byHost[host] == maxHostDrain {
		return false
	}
	if d.byHost == nil {
		d.byHost = make(map[string]int)
	}
	d.total++
	d.byHost[host]++
	return true
}

func (d *drains) leave(host string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.total--
	if d.byHost[host]--; d.byHost[host] == 0 {
		delete(d.byHost, host)
	}
}

// drain reads and drops an answer's body beside the attempt, until the attempt's time is over; cancel ends the attempt's context. The
// status stands already, so nobody waits for it.
func (s *Sender) drain(host string, answer *http.Response, cancel context.CancelFunc) {
	body := answer.Body
	if body == http.NoBody {
		cancel()
		return
	}
	if answer.StatusCode == http.StatusSwitchingProtocols || answer.ContentLength > maxBodyBytes || !s.drains.enter(host) {
		cancel()
		body.Close() // closes the connection, too
		return
	}
	if !s.begin() {
		s.drains.leave(host)
		cancel()
		body.Close()
		return
	}
	go func() {
		defer s.work.Done()
		defer s.drains.leave(host)
		defer cancel()
		defer body.Close()
		_, _ = io.CopyN(io.Discard, body, maxBodyBytes+1) // an error costs the connection only
	}()
}

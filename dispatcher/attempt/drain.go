package attempt

import (
	"context"
	"io"
	"net/http"
	"sync"
)

// Bounds of reading response bodies, which is done so that the connection can be used again.
const (
	maxBodyBytes     = 64 << 10
	maxDrains        = 1024 // bodies being read
	maxDrainsPerHost = 64   // of one host, so that one that drips leaves room for the others
)

// drains is a semaphore for the bodies that are read after their attempts, in all and for each
// host.
type drains struct {
	mu     sync.Mutex
	total  int
	byHost map[string]int
}

func (d *drains) acquire(host string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.total == maxDrains || d.byHost[host] == maxDrainsPerHost {
		return false
	}
	if d.byHost == nil {
		d.byHost = make(map[string]int)
	}
	d.total++
	d.byHost[host]++
	return true
}

func (d *drains) release(host string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.total--
	if d.byHost[host]--; d.byHost[host] == 0 {
		delete(d.byHost, host)
	}
}

// drain reads and discards a response body in a goroutine of its own, until the time of the attempt
// is over. The status is known already, so Send does not wait for it. cancel ends the attempt's
// context.
func (s *Sender) drain(host string, response *http.Response, cancel context.CancelFunc) {
	body := response.Body
	if body == http.NoBody {
		cancel()
		return
	}
	if response.StatusCode == http.StatusSwitchingProtocols || response.ContentLength > maxBodyBytes || !s.drains.acquire(host) {
		cancel()
		body.Close() // closes the connection too
		return
	}
	if !s.startWork() {
		s.drains.release(host)
		cancel()
		body.Close()
		return
	}
	go func() {
		defer s.work.Done()
		defer s.drains.release(host)
		defer cancel()
		defer body.Close()
		_, _ = io.CopyN(io.Discard, body, maxBodyBytes+1) // an error costs the connection only
	}()
}

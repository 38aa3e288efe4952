package dispatcher

import (
	"context"
	"time"
)

// listener waits for new events in a goroutine of its own, one wait at a time.
type listener struct {
	cursors chan string
	heard   chan struct{}
	done    chan struct{}
	idle    bool // owned by the intake: no wait is under way
}

func newListener(s *session) *listener {
	l := &listener{cursors: make(chan string, 1), heard: make(chan struct{}, 1), done: make(chan struct{}), idle: true}
	ctx, cancel := context.WithCancel(context.Background())
	s.services.Go(func() { <-l.done; cancel() })
	s.services.Go(func() {
		for cursor := range l.cursors {
			began := time.Now()
			if err := s.process.WaitForEvents(ctx, cursor); err != nil && time.Since(began) < 100*time.Millisecond {
				sleep(ctx, 100*time.Millisecond)
			}
			l.heard <- struct{}{}
		}
	})
	return l
}

// listen begins a wait, unless one is under way.
func (l *listener) listen(cursor string) {
	if l.idle {
		l.idle = false
		l.cursors <- cursor
	}
}

// stop ends the goroutine, at the latest when its wait is over.
func (l *listener) stop() {
	close(l.done)
	close(l.cursors)
}

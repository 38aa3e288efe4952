package store

// This file routes what go-redis logs by itself, to the standard error and in a form of its own, to slog.

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// ClientLogInterval is how often go-redis is let through: it logs every failed dial.
const clientLogInterval = 10 * time.Second

var routeClientLog = sync.OnceFunc(func() { redis.SetLogger(&clientLog{}) })

type clientLog struct {
	mu      sync.Mutex
	last    time.Time
	dropped int
}

// Printf logs a line at debug level, so that it is there when it is looked for: whatever matters to an operator is said by Monitor.
func (l *clientLog) Printf(ctx context.Context, format string, v ...any) {
	logger := slog.Default()
	if !logger.Enabled(ctx, slog.LevelDebug) {
		return
	}
	l.mu.Lock()
	now := time.Now()
	if now.Sub(l.last) < clientLogInterval {
		l.dropped++
		l.mu.Unlock()
		return
	}
	l.last = now
	dropped := l.dropped
	l.dropped = 0
	l.mu.Unlock()
	logger.DebugContext(ctx, "redis client: "+fmt.Sprintf(format, v...), "lines_dropped", dropped)
}

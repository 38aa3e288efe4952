package runtime

import (
	"context"
	"log/slog"
	"sync/atomic"
)

// reloadableLog is a log handler whose destination can be replaced at any time: what outlives a
// configuration must not write to that configuration's log.
type reloadableLog struct {
	current *atomic.Pointer[slog.Handler]
	with    func(slog.Handler) slog.Handler // adds attributes and groups to the current handler
}

func newReloadableLog(initial slog.Handler) *reloadableLog {
	l := &reloadableLog{current: new(atomic.Pointer[slog.Handler]), with: func(h slog.Handler) slog.Handler { return h }}
	l.current.Store(&initial)
	return l
}

// set makes h the destination from now on.
func (l *reloadableLog) set(h slog.Handler) { l.current.Store(&h) }

func (l *reloadableLog) handler() slog.Handler { return l.with(*l.current.Load()) }

// Enabled, Handle, WithAttrs and WithGroup implement slog.Handler.

func (l *reloadableLog) Enabled(ctx context.Context, level slog.Level) bool {
	return (*l.current.Load()).Enabled(ctx, level)
}

func (l *reloadableLog) Handle(ctx context.Context, r slog.Record) error {
	return l.handler().Handle(ctx, r)
}

func (l *reloadableLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := l.with
	return &reloadableLog{current: l.current, with: func(h slog.Handler) slog.Handler { return with(h).WithAttrs(attrs) }}
}

func (l *reloadableLog) WithGroup(name string) slog.Handler {
	with := l.with
	return &reloadableLog{current: l.current, with: func(h slog.Handler) slog.Handler { return with(h).WithGroup(name) }}
}

package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"
	"testing"
)

// tb stands in for a test, so that the harness can be used outside `go test`. A failure that the
// harness reports becomes a violation of the seed.
type tb struct {
	testing.TB // the interface has an unexported method; all that the harness calls is below
	ctx        context.Context
	history    *history

	mu       sync.Mutex
	cleanups []func()
}

func (t *tb) Helper()                  {}
func (t *tb) Name() string             { return "chaos" }
func (t *tb) Context() context.Context { return t.ctx }
func (t *tb) Log(args ...any)          { t.history.note("harness", "%s", fmt.Sprint(args...)) }
func (t *tb) Logf(f string, a ...any)  { t.history.note("harness", f, a...) }
func (t *tb) Error(args ...any)        { t.fail(fmt.Sprint(args...)) }
func (t *tb) Errorf(f string, a ...any) {
	t.fail(fmt.Sprintf(f, a...))
}

func (t *tb) Fatal(args ...any) {
	t.fail(fmt.Sprint(args...))
	runtime.Goexit()
}

func (t *tb) Fatalf(f string, a ...any) {
	t.fail(fmt.Sprintf(f, a...))
	runtime.Goexit()
}

func (t *tb) fail(text string) {
	t.history.violate("harness", "", "%s", text)
}

// Failed is false: the harness would print whole logs, which the seed's folder has.
func (t *tb) Failed() bool { return false }

// Cleanup registers what ends with the seed.
func (t *tb) Cleanup(f func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.cleanups = append(t.cleanups, f)
}

// TempDir makes a folder that ends with the seed.
func (t *tb) TempDir() string {
	dir, err := os.MkdirTemp("", "tenzo-chaos-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// end runs the cleanups, the last one first. Each gets a goroutine of its own, since it may call
// Fatal.
func (t *tb) end() {
	for {
		t.mu.Lock()
		n := len(t.cleanups)
		if n == 0 {
			t.mu.Unlock()
			return
		}
		f := t.cleanups[n-1]
		t.cleanups = t.cleanups[:n-1]
		t.mu.Unlock()
		var work sync.WaitGroup
		work.Go(f)
		work.Wait()
	}
}

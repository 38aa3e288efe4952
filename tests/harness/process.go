package harness

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Command describes a program to start.
type Command struct {
	Name string // for messages
	Path string
	Args []string
	Env  []string // added to the environment of the test; later entries override
	Dir  string
}

// Process is a running program. It is killed when the test ends. A panic or a data race in its
// output fails the test, and the output is shown if the test failed.
type Process struct {
	t    testing.TB
	name string
	cmd  *exec.Cmd
	log  *Log
	done chan struct{} // closed once the process has ended and its output is complete
}

// Start starts a process.
func Start(t testing.TB, c Command) *Process {
	t.Helper()
	p, err := start(t, c)
	if err != nil {
		t.Fatalf("starting %s: %v", c.Name, err)
	}
	t.Cleanup(func() {
		p.Kill()
		for _, trouble := range []string{"DATA RACE", "panic: ", "panic serving", "fatal error: "} {
			if strings.Contains(p.log.String(), trouble) {
				t.Errorf("%s (pid %d) reports %q", p.name, p.PID(), trouble)
			}
		}
		if t.Failed() {
			t.Logf("the last output of %s (pid %d):\n%s", p.name, p.PID(), p.log.Tail(8<<10))
		}
	})
	return p
}

func start(t testing.TB, c Command) (*Process, error) {
	t.Helper()
	p := &Process{t: t, name: c.Name, log: &Log{}, done: make(chan struct{})}
	p.cmd = exec.Command(c.Path, c.Args...)
	p.cmd.Env = append(os.Environ(), c.Env...)
	p.cmd.Dir = c.Dir
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{}
	endWithParent(p.cmd.SysProcAttr)
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // the outcome is read from ProcessState
	}()
	return p, nil
}

// PID returns the id of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Log returns the standard output and standard error of the process.
func (p *Process) Log() *Log { return p.log }

// Exited is closed once the process has ended.
func (p *Process) Exited() <-chan struct{} { return p.done }

// Signal sends a signal.
func (p *Process) Signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Errorf("signaling %s: %v", p.name, err)
	}
}

// Kill kills the process with SIGKILL and waits until it is gone. It does nothing if the process
// has ended.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // an error means that the process has ended
	<-p.done
}

// Terminate sends SIGTERM.
func (p *Process) Terminate() {
	p.t.Helper()
	p.Signal(syscall.SIGTERM)
}

// Freeze stops the process with SIGSTOP, and returns once it has really stopped.
func (p *Process) Freeze() {
	p.t.Helper()
	p.Signal(syscall.SIGSTOP)
	Eventually(p.t, 5*time.Second, func() error {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
		if errors.Is(err, os.ErrNotExist) {
			return nil // without /proc, the signal has to do
		}
		if i := strings.LastIndex(string(stat), ") "); i < 0 || !strings.HasPrefix(string(stat)[i+2:], "T") {
			return errors.New("the process has not stopped yet")
		}
		return err
	})
}

// Thaw continues a frozen process.
func (p *Process) Thaw() {
	p.t.Helper()
	p.Signal(syscall.SIGCONT)
}

// Wait waits for the end of the process and returns its exit status, or -1 if a signal ended it. It
// fails the test if the process still runs after the given time.
func (p *Process) Wait(within time.Duration) int {
	p.t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(within):
		p.t.Fatalf("%s has not ended within %v", p.name, within)
		return -1
	}
}

// WaitForLog waits until the output contains a text.
func (p *Process) WaitForLog(text string, within time.Duration) {
	p.t.Helper()
	Eventually(p.t, within, func() error {
		if strings.Contains(p.log.String(), text) {
			return nil
		}
		return fmt.Errorf("%s has not written %q", p.name, text)
	})
}

// RSS returns the resident size of the process in bytes.
func (p *Process) RSS() (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		var kb int64
		if n, _ := fmt.Sscanf(line, "VmRSS: %d kB", &kb); n == 1 {
			return kb << 10, nil
		}
	}
	return 0, fmt.Errorf("no resident size of %s", p.name)
}

// Log collects output. It is safe for concurrent use.
type Log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write appends to the log.
func (l *Log) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

// String returns everything that was written so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// Tail is the end of what was written, of at most n bytes.
func (l *Log) Tail(n int) string {
	s := l.String()
	if len(s) > n {
		s = "… " + s[len(s)-n:]
	}
	return s
}

// Result is how a program that ran to its end went.
type Result struct {
	Status         int
	Stdout, Stderr string
}

// Run runs a program to its end, with input on its standard input, and fails the test only where it
// cannot be started or takes longer than a minute.
func Run(t testing.TB, c Command, input string) Result {
	t.Helper()
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Env = append(os.Environ(), c.Env...)
	cmd.Dir = c.Dir
	cmd.Stdin = strings.NewReader(input)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	endWithParent(cmd.SysProcAttr)
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", c.Name, err)
	}
	late := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	_ = cmd.Wait() // its outcome is read from ProcessState
	if !late.Stop() {
		t.Fatalf("%s %v has not ended within a minute:\n%s%s", c.Name, c.Args, &stdout, &stderr)
	}
	return Result{Status: cmd.ProcessState.ExitCode(), Stdout: stdout.String(), Stderr: stderr.String()}
}

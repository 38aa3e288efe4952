package harness

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"time"
)

// Load sends HTTP/1.1 requests over kept-alive connections, one at a time on each. It does as
// little work as possible, so that the machine is left to the server under test.
type Load struct {
	Addr        string // host:port
	Connections int    // concurrent connections
	// Returns the bytes of request n, from 0 on; called concurrently.
	Request func(n int64) []byte
	// The number of requests; if 0, the load runs until Run's context ends.
	Requests int64
	Answered func(n int64, status int, took time.Duration)
	// Refused decides whether to retry a request that got no answer because no connection could be
	// opened or the server closed the connection first. If it is nil, Load retries twice at most
	// over a new connection, as clients do: a server may close an idle connection at any moment,
	// and Go's server closes a connection that it has just accepted when it begins to stop.
	Refused func(n int64, err error) bool
}

// Run sends all requests and returns the first failure.
func (l Load) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var mu sync.Mutex
	var sent int64
	next := func() (int64, bool) {
		mu.Lock()
		defer mu.Unlock()
		if ctx.Err() != nil || l.Requests > 0 && sent >= l.Requests {
			return 0, false
		}
		sent++
		return sent - 1, true
	}
	var work sync.WaitGroup
	for range l.Connections {
		work.Go(func() {
			c := loadConn{load: &l}
			defer c.close()
			for n, ok := next(); ok; n, ok = next() {
				if err := c.request(ctx, n); err != nil {
					if ctx.Err() == nil {
						cancel(err)
					}
					return
				}
			}
		})
	}
	work.Wait()
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
		return cause
	}
	return nil
}

// Get returns the bytes of a GET with a header line, which may be empty.
func Get(host, path, header string) []byte {
	if header != "" {
		header += "\r\n"
	}
	return []byte("GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\n" + header + "\r\n")
}

type loadConn struct {
	load *Load
	conn net.Conn
	in   *bufio.Reader
}

func (c *loadConn) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// request sends a request until it is answered.
func (c *loadConn) request(ctx context.Context, n int64) error {
	bytes := c.load.Request(n)
	for failures := 1; ; failures++ {
		start := time.Now()
		status, err := c.try(ctx, bytes)
		if err == nil {
			if c.load.Answered != nil {
				c.load.Answered(n, status, time.Since(start))
			}
			return nil
		}
		c.close()
		if ctx.Err() != nil {
			return err // the load was stopped; Run ignores it
		}
		if _, partial := errors.AsType[*partialError](err); partial {
			return err
		}
		if c.load.Refused != nil {
			if !c.load.Refused(n, err) {
				return err
			}
		} else if failures > 2 {
			return err
		}
	}
}

// partialError means that an answer broke off, so that the outcome of the request is unknown.
type partialError struct{ err error }

func (e *partialError) Error() string { return fmt.Sprintf("an answer broke off: %v", e.err) }

func (c *loadConn) try(ctx context.Context, request []byte) (status int, err error) {
	if c.conn == nil {
		d := net.Dialer{Timeout: 5 * time.Second}
		if c.conn, err = d.DialContext(ctx, "tcp", c.load.Addr); err != nil {
			c.conn = nil
			return 0, err
		}
		c.in = bufio.NewReaderSize(c.conn, 4<<10)
	}
	if err := c.conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return 0, err
	}
	if _, err := c.conn.Write(request); err != nil {
		return 0, err
	}
	return c.read()
}

// read reads an answer. It parses only the headers that determine where the answer ends.
func (c *loadConn) read() (status int, err error) {
	line, err := c.in.ReadSlice('\n')
	if err != nil {
		if len(line) > 0 {
			return 0, &partialError{err}
		}
		return 0, err
	}
	if len(line) < 12 {
		return 0, &partialError{fmt.Errorf("no status line: %q", line)}
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, &partialError{err}
	}
	length, last := -1, false
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return 0, &partialError{err}
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("Content-Length")):
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, &partialError{err}
			}
		case bytes.EqualFold(name, []byte("Connection")):
			last = bytes.EqualFold(value, []byte("close"))
		}
	}
	if length < 0 && status != 204 && status != 304 {
		return 0, &partialError{errors.New("an answer without Content-Length")}
	}
	if _, err := io.CopyN(io.Discard, c.in, int64(max(length, 0))); err != nil {
		return 0, &partialError{err}
	}
	if last {
		c.close()
	}
	return status, nil
}

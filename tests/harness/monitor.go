package harness

import (
	"bufio"
	"net"
	"strings"
	"time"
)

// Monitor returns the commands that the server runs while f runs, those of scripts included, each
// in the form of MONITOR. It works for servers without TLS and password.
func (r *Redis) Monitor(f func()) (commands []string) {
	r.t.Helper()
	conn, err := net.DialTimeout("tcp", r.Addr(), time.Second)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	lines := bufio.NewReader(conn)
	read := func() string {
		r.t.Helper()
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			r.t.Fatal(err)
		}
		line, err := lines.ReadString('\n')
		if err != nil {
			r.t.Fatalf("monitor: %v", err)
		}
		return strings.TrimSuffix(line, "\r\n")
	}
	if _, err := conn.Write([]byte("MONITOR\r\n")); err != nil {
		r.t.Fatal(err)
	}
	if answer := read(); answer != "+OK" {
		r.t.Fatalf("monitor: %s", answer)
	}
	f()
	r.do("echo", "the end of what is monitored")
	for {
		line := read()
		if strings.HasSuffix(line, `"the end of what is monitored"`) {
			return commands
		}
		commands = append(commands, line)
	}
}

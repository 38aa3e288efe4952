package harness

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// AOF are the arguments of a Redis that keeps what it acknowledged, but for the last second where the machine dies: as production runs.
var AOF = []string{"--appendonly", "yes", "--appendfsync", "everysec"}

// Redis is a redis-server with a folder and a port of its own. Its methods are for the goroutine of the test.
type Redis struct {
	t      testing.TB
	binary string
	args   []string
	dir    string
	port   int
	ca     *CA // where it speaks TLS
	proc   *Process
}

// StartRedis starts a redis-server, by default without persistence, and waits until it answers. The arguments are those of the
// command line, `--maxmemory 64mb` in two strings; they win over the harness's own.
func StartRedis(t testing.TB, args ...string) *Redis {
	t.Helper()
	r := newRedis(t)
	r.args = append(r.args, "--port", strconv.Itoa(r.port))
	r.args = append(r.args, args...)
	r.Start()
	return r
}

// StartRedisTLS starts a redis-server that speaks TLS only, with a certificate of a CA of its own (URL names the CA's file).
func StartRedisTLS(t testing.TB, args ...string) *Redis {
	t.Helper()
	r := newRedis(t)
	r.ca = NewCA(t)
	cert, key := r.ca.Files(t, Leaf{})
	r.args = append(r.args, "--port", "0", "--tls-port", strconv.Itoa(r.port),
		"--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", r.ca.File(), "--tls-auth-clients", "no")
	r.args = append(r.args, args...)
	r.Start()
	return r
}

func newRedis(t testing.TB) *Redis {
	t.Helper()
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal("redis-server is not installed; tests/run.sh installs it")
	}
	// Not t.TempDir: a unix socket's path must be short.
	dir, err := os.MkdirTemp("", "tenzo-redis-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	r := &Redis{t: t, binary: binary, dir: dir, port: FreePort(t)}
	r.args = []string{
		"--bind", "127.0.0.1", "--dir", dir, "--unixsocket", r.socket(), "--save", "", "--appendonly", "no",
		"--repl-diskless-sync-delay", "0", "--loglevel", "notice",
	}
	return r
}

// Start starts a server that was stopped, in the same folder, on the same port, and waits until it answers and has loaded its data.
func (r *Redis) Start() {
	r.t.Helper()
	r.proc = Start(r.t, Command{Name: "redis-server", Path: r.binary, Args: r.args, Dir: r.dir})
	Eventually(r.t, 20*time.Second, func() error {
		select {
		case <-r.proc.Exited():
			r.t.Fatalf("redis-server ended at its start:\n%s", r.proc.Log())
		default:
		}
		c := r.dial()
		defer func() { _ = c.Close() }()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		err := c.Ping(ctx).Err()
		if err != nil && (strings.HasPrefix(err.Error(), "NOAUTH") || strings.HasPrefix(err.Error(), "NOPERM")) {
			return nil // it answers
		}
		return err
	})
}

// Addr is the server's host:port.
func (r *Redis) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(r.port)) }

// Port is the server's port.
func (r *Redis) Port() int { return r.port }

// Dir is the server's folder.
func (r *Redis) Dir() string { return r.dir }

// URL is the server's URL, without credentials.
func (r *Redis) URL() string {
	if r.ca != nil {
		return "rediss://" + r.Addr() + "?ca_file=" + r.ca.File()
	}
	return "redis://" + r.Addr()
}

// URLAs is the server's URL with credentials.
func (r *Redis) URLAs(user, password string) string {
	scheme, rest, _ := strings.Cut(r.URL(), "://")
	return scheme + "://" + user + ":" + password + "@" + rest
}

// SocketURL is the server's URL over its unix socket.
func (r *Redis) SocketURL() string { return "unix://" + r.socket() }

// CA is the authority that signed the certificate of a server with TLS.
func (r *Redis) CA() *CA { return r.ca }

// Process is the server's process.
func (r *Redis) Process() *Process { return r.proc }

func (r *Redis) socket() string { return filepath.Join(r.dir, "s") }

func (r *Redis) dial() *redis.Client {
	o := &redis.Options{Addr: r.Addr(), MaxRetries: -1, ContextTimeoutEnabled: true}
	if i := slices.Index(r.args, "--requirepass"); i >= 0 {
		o.Password = r.args[i+1]
	}
	if r.ca != nil {
		o.TLSConfig = r.ca.ClientConfig()
	}
	return redis.NewClient(o)
}

// Client returns a client of the server that is closed when the test ends. It honours deadlines of contexts and retries nothing.
func (r *Redis) Client(t testing.TB) *redis.Client {
	t.Helper()
	c := r.dial()
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Mark writes the schema marker of a store with the default prefix, as `tenzo-gateway init` does.
func (r *Redis) Mark() {
	r.t.Helper()
	r.do("set", "tenzo:schema", "1")
}

// FlushAll empties the server: its marker is gone too.
func (r *Redis) FlushAll() {
	r.t.Helper()
	r.do("flushall")
}

// ReplicaOf makes the server a replica of another, or a primary again where that is nil.
func (r *Redis) ReplicaOf(primary *Redis) {
	r.t.Helper()
	if primary == nil {
		r.do("replicaof", "no", "one")
		return
	}
	r.do("replicaof", "127.0.0.1", strconv.Itoa(primary.port))
}

func (r *Redis) do(args ...any) {
	r.t.Helper()
	c := r.dial()
	defer func() { _ = c.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := c.Do(ctx, args...).Err(); err != nil {
		r.t.Fatalf("redis %v: %v", args[0], err)
	}
}

// Kill ends the server as kill -9 does.
func (r *Redis) Kill() { r.proc.Kill() }

// Stop shuts the server down in an orderly way.
func (r *Redis) Stop() {
	r.t.Helper()
	r.proc.Terminate()
	r.proc.Wait(20 * time.Second)
}

// Restart kills the server and starts it again in the same folder on the same port: with AOF among the arguments it has its data
// again, else it is empty.
func (r *Redis) Restart() {
	r.t.Helper()
	r.Kill()
	r.Start()
}

// Pause stops the server as SIGSTOP does: connections stand, nothing answers. It returns once the process has really stopped.
func (r *Redis) Pause() {
	r.t.Helper()
	r.proc.Freeze()
}

// Resume ends a pause.
func (r *Redis) Resume() {
	r.t.Helper()
	r.proc.Thaw()
}

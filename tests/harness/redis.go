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

// AOF holds the arguments of a Redis with the persistence of production: acknowledged writes
// survive, except those of the last second if the machine dies.
var AOF = []string{"--appendonly", "yes", "--appendfsync", "everysec"}

// Redis is a redis-server with a folder and a port of its own. Only the test's goroutine may call
// its methods.
type Redis struct {
	t      testing.TB
	binary string
	args   []string
	dir    string
	port   int
	ca     *CA // not nil if the server requires TLS
	proc   *Process
}

// StartRedis starts a redis-server, by default without persistence, and waits until it answers.
// args are command-line arguments, such as "--maxmemory", "64mb". They override the harness's own.
func StartRedis(t testing.TB, args ...string) *Redis {
	t.Helper()
	r := newRedis(t)
	r.args = append(r.args, "--port", strconv.Itoa(r.port))
	r.args = append(r.args, args...)
	r.Start()
	return r
}

// StartRedisTLS starts a redis-server that accepts TLS only, with a certificate of a CA of its own.
// URL names the CA's file.
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
	// Not t.TempDir, because the path of a unix socket must be short.
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

// Start starts a stopped server again, in the same folder and on the same port, and waits until it
// has loaded its data and answers.
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

// Addr returns the server's host:port.
func (r *Redis) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(r.port)) }

// Port returns the server's port.
func (r *Redis) Port() int { return r.port }

// Dir returns the server's folder.
func (r *Redis) Dir() string { return r.dir }

// URL returns the server's URL, without credentials.
func (r *Redis) URL() string {
	if r.ca != nil {
		return "rediss://" + r.Addr() + "?ca_file=" + r.ca.File()
	}
	return "redis://" + r.Addr()
}

// URLAs returns the server's URL with credentials.
func (r *Redis) URLAs(user, password string) string {
	scheme, rest, _ := strings.Cut(r.URL(), "://")
	return scheme + "://" + user + ":" + password + "@" + rest
}

// SocketURL returns the server's URL for its unix socket.
func (r *Redis) SocketURL() string { return "unix://" + r.socket() }

// CA returns the authority of a server with TLS.
func (r *Redis) CA() *CA { return r.ca }

// Process returns the server's process.
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

// Client returns a client that is closed when the test ends. It honours deadlines of contexts and
// does not retry.
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

// FlushAll deletes all data, the marker included.
func (r *Redis) FlushAll() {
	r.t.Helper()
	r.do("flushall")
}

// ReplicaOf makes the server a replica of another one, or a primary if that is nil.
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

// Kill kills the server with SIGKILL.
func (r *Redis) Kill() { r.proc.Kill() }

// Stop stops the server with SIGTERM.
func (r *Redis) Stop() {
	r.t.Helper()
	r.proc.Terminate()
	r.proc.Wait(20 * time.Second)
}

// Restart kills the server and starts it again in the same folder on the same port. With AOF it has
// its data again, otherwise it is empty.
func (r *Redis) Restart() {
	r.t.Helper()
	r.Kill()
	r.Start()
}

// Pause stops the server with SIGSTOP, and returns once it has really stopped. Its connections stay
// open without answers.
func (r *Redis) Pause() {
	r.t.Helper()
	r.proc.Freeze()
}

// Resume ends a Pause.
func (r *Redis) Resume() {
	r.t.Helper()
	r.proc.Thaw()
}

package tests

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// TestRestore follows config/docs/backup.md step by step. A Redis whose data was deleted has it
// again, a key that was revoked after the backup is never admitted, and events that waited in the
// backup are delivered after the marker is written, not before.
func TestRestore(t *testing.T) {
	t.Parallel()
	steps := snippets(t, "config/docs/backup.md")
	if len(steps) != 6 {
		t.Fatalf("the document has %d steps that run", len(steps))
	}
	h := newWebhookEnv(t, harness.ReceiverOptions{})
	good, revoked := createKey(t, h.redis.URL(), "acme"), createKey(t, h.redis.URL(), "acme")
	h.setWebhook("acme", "/hook")
	h.publishMany(h.rdb, "acme", 0, 5)

	// An operator's shell: redis-cli talks to this Redis by default, and tenzo-gateway is on the
	// PATH.
	folder, tools := t.TempDir(), t.TempDir()
	cli, err := exec.LookPath("redis-cli")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(tools, "redis-cli"), []byte("#!/bin/sh\nexec "+cli+" -p "+strconv.Itoa(h.redis.Port())+` "$@"`+"\n"), 0o755))
	must(t, os.Symlink(harness.Binary(t), filepath.Join(tools, "tenzo-gateway")))
	run := func(step int) {
		t.Helper()
		cmd := exec.Command("bash", "-euo", "pipefail", "-c", steps[step].text)
		cmd.Dir = folder
		cmd.Env = append(withoutTenzo(os.Environ()), "PATH="+tools+":"+os.Getenv("PATH"), "HOME="+folder,
			"TENZO_REDIS_URL="+h.redis.URL(), "KEY_ID="+revoked.id, "DATA="+h.redis.Dir())
		late := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
		defer late.Stop()
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", steps[step], err, out)
		}
	}
	t.Cleanup(func() { // if a step failed
		_ = exec.Command(cli, "-s", filepath.Join(folder, "restored/redis.sock"), "shutdown", "nosave").Run()
	})

	run(0)
	if c := command(t, h.redis.URL(), "keys", "revoke", revoked.id); c.Status != 0 {
		t.Fatalf("keys revoke: %+v", c)
	}
	h.redis.FlushAll()

	run(1)
	run(2)
	run(3)
	h.redis.Kill()
	run(4)
	t.Cleanup(func() { _ = os.RemoveAll(h.redis.Dir() + ".before") })
	h.redis.Start()

	g := startGateway(t, site{redis: h.redis.URL(), unready: true})
	listen := harness.FreeAddr(t)
	d := harness.StartGateway(t, harness.GatewayOptions{
		Args: []string{"dispatch", "--listen", listen, "--allow-networks", "127.0.0.0/8", "--ca-file", h.receiver.CAFile()},
		Env:  []string{"TENZO_REDIS_URL=" + h.redis.URL()},
	})
	harness.Eventually(t, 10*time.Second, func() error { return g.want(good.secret, http.StatusOK) })
	for secret, status := range map[string]int{revoked.secret: http.StatusUnauthorized, makeKey("acme").secret: http.StatusServiceUnavailable} {
		if err := g.want(secret, status); err != nil {
			t.Error(err)
		}
	}
	harness.Eventually(t, 10*time.Second, func() error {
		if !strings.Contains(d.Log().String(), "marker") {
			return fmt.Errorf("the dispatcher does not say that the marker is missing:\n%s", d.Log())
		}
		return nil
	})
	if n := h.receiver.Count(); n != 0 {
		t.Errorf("%d webhooks were delivered before the marker was written", n)
	}

	run(5)
	h.awaitDrained(20*time.Second, books{Published: 5, Delivered: 5})
	if got := h.receiver.Received(); len(got) != 5 || got[0].Path != "/"+webhookToken+"/hook" {
		t.Errorf("the receiver got %d requests", len(got))
	}
	harness.Eventually(t, 10*time.Second, func() error { return g.want(makeKey("acme").secret, http.StatusUnauthorized) })
}

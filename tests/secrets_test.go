package tests

import (
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// TestSecretsStayHidden passes keys, a webhook's secret and a Redis password through everything
// that logs, dumps or reports: errors of the upstream and of Redis at the debug level, the
// configuration, the metrics, and the files that Caddy keeps.
func TestSecretsStayHidden(t *testing.T) {
	t.Parallel()
	const password = "pa55word-of-redis"
	r := harness.StartRedis(t, "--requirepass", password)
	r.Mark()
	rdb := r.Client(t)
	receiver := harness.NewReceiver(t, harness.ReceiverOptions{Answer: harness.Always(harness.Answer{Status: 500})})
	h := &webhookEnv{t: t, redis: r, rdb: rdb, receiver: receiver}
	h.setWebhook("acme", "")
	k := newKey(t, rdb, "acme")
	unreadable := newKey(t, rdb, "acme", "expires_at", "whenever")
	g := startGateway(t, site{
		redis: r.URLAs("", password), before: "log", tenzo: h.block("retry_backoff 0s"),
		handler: "reverse_proxy " + harness.FreeAddr(t), // no server listens there
	})
	for _, answer := range []struct {
		key    string
		status int
	}{{k.secret, 502}, {makeKey("acme").secret, 401}, {unreadable.secret, 503}, {"Basic " + k.secret, 401}} {
		must(t, g.want(answer.key, answer.status))
	}
	req := request(t, http.MethodGet, g.url()+"/")
	req.Header["Authorization"] = []string{"Bearer " + k.secret, k.secret}
	a, err := do(plain, req)
	must(t, err)
	if a.StatusCode != 400 {
		t.Errorf("two lines are answered %d", a.StatusCode)
	}
	h.publishInterview("acme", "one")
	receiver.Wait(2, 20*time.Second)
	r.Kill()
	must(t, g.want(makeKey("acme").secret, 503))

	texts := map[string]string{"the log": g.Log().String()}
	for _, url := range []string{g.Admin() + "/config/", g.statusURL() + "/metrics", g.statusURL() + "/readyz"} {
		a, err := do(plain, request(t, http.MethodGet, url))
		must(t, err)
		texts[url] = string(a.body)
	}
	must(t, filepath.WalkDir(g.Home(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		text, err := os.ReadFile(path)
		texts[path] = string(text)
		return err
	}))
	for where, text := range texts {
		for _, secret := range []string{password, webhookSecret, webhookToken, strings.TrimPrefix(k.secret, "tenzo_pk_")} {
			if strings.Contains(text, secret) {
				t.Errorf("%s shows %s", where, secret)
			}
		}
	}
	if !strings.Contains(texts["the log"], "http.log.error") {
		t.Error("the upstream's failure is not logged, so nothing was tried")
	}
}

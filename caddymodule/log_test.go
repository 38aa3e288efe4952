package caddymodule

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// TestLogsShowNoKey sends keys in every way and to every outcome, with all logs at debug level, and
// then searches the logs for them.
func TestLogsShowNoKey(t *testing.T) {
	r := startStore(t)
	key := createKey(t, r, "acme")
	addr, broken := harness.FreeAddr(t), harness.FreeAddr(t)
	logs := filepath.Join(t.TempDir(), "all.log")
	load(t, fmt.Sprintf(`{
	admin off
	debug
	log {
		output file %[1]s
		level DEBUG
	}
}
http://%[2]s {
	log {
		output file %[1]s
	}
	tenzo_auth
	reverse_proxy 127.0.0.1:1 # nobody listens: 502
}
http://%[3]s {
	log {
		output file %[1]s
	}
	tenzo_auth {
		forward_authorization
		pass_errors
	}
	error 500
}`, logs, addr, broken))

	unknown := "tenzo_pk_0123456789abcdefghijklmnop"
	secrets := []string{key.Secret, unknown, strings.TrimPrefix(key.Secret, "tenzo_pk_"), "0123456789abcdefghijklmnop"}
	values := [][]string{
		{"Bearer " + key.Secret},
		{key.Secret},
		{"bearer   " + key.Secret},
		{"Basic " + key.Secret},
		{key.Secret + "!"},
		{"Bearer " + key.Secret, "Bearer " + unknown},
		{"Bearer " + unknown},
		{unknown},
		{"Bearer " + key.Secret + "," + unknown},
	}
	c := client(t)
	ask := func() {
		for _, v := range values {
			for _, a := range []string{addr, broken} {
				request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+a, nil)
				request.Header["Authorization"] = v
				response, err := c.Do(request)
				if err != nil {
					t.Fatal(err)
				}
				_ = readAll(t, response)
			}
		}
	}
	ask()
	r.Kill() // 503s are logged as errors
	values = append(values, []string{"Bearer tenzo_pk_" + strings.Repeat("z", 40)})
	secrets = append(secrets, strings.Repeat("z", 40))
	ask()
	stopCaddy(t)

	content, err := os.ReadFile(logs)
	if err != nil || len(content) < 1000 {
		t.Fatalf("reading the logs: %d bytes, %v", len(content), err)
	}
	for _, secret := range secrets {
		if i := strings.Index(string(content), secret); i >= 0 {
			t.Errorf("a key was logged: …%s…", content[max(0, i-200):i])
		}
	}
}

func TestAccessLogNamesKeyAndOrganization(t *testing.T) {
	key := createKey(t, startStore(t), "acme")
	addr := harness.FreeAddr(t)
	logs := filepath.Join(t.TempDir(), "access.log")
	load(t, fmt.Sprintf(`{
	admin off
}
http://%s {
	log {
		output file %s
	}
	tenzo_auth
	respond "let in"
}`, addr, logs))
	get(t, client(t), "http://"+addr, key.Secret)
	get(t, client(t), "http://"+addr, "")
	stopCaddy(t)

	file, err := os.Open(logs)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	type entry struct {
		Status int
		KeyID  *string `json:"key_id"`
		OrgID  *string `json:"org_id"`
		UserID string  `json:"user_id"`
	}
	var entries []entry
	for scanner := bufio.NewScanner(file); scanner.Scan(); {
		var e entry
		if err := json.Unmarshal(scanner.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		entries = append(entries, e)
	}
	if len(entries) != 2 {
		t.Fatalf("%d lines, want 2", len(entries))
	}
	if e := entries[0]; e.Status != 200 || e.KeyID == nil || *e.KeyID != key.ID || e.OrgID == nil || *e.OrgID != "acme" || e.UserID != key.ID {
		t.Errorf("a request let in is logged as %+v", e)
	}
	if e := entries[1]; e.Status != 401 || e.KeyID != nil || e.OrgID != nil {
		t.Errorf("a refused request is logged as %+v", e)
	}
}

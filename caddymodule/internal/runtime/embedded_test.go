package runtime

import (
	"strings"
	"testing"

	"github.com/tenzo-ai/tenzo-gateway/config/apikey"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// The text at the start names the ports of the environment, and the address of the embedded Redis
// if the commands would not find it.
func TestWelcomeText(t *testing.T) {
	key := apikey.Created{Secret: "tenzo_pk_secret"}
	key.OrgID = "demo"
	env := map[string]string{}
	text := func(addr string) string { return welcomeText(key, addr, func(name string) string { return env[name] }) }
	if got := text(store.EmbeddedAddr); !strings.Contains(got, "Bearer tenzo_pk_secret' http://localhost:8080/") ||
		strings.Contains(got, "TENZO_") || strings.Contains(got, "Metrics") {
		t.Errorf("with defaults:\n%s", got)
	}
	env = map[string]string{"TENZO_GATEWAY_PORT": "1", "TENZO_TOOLS_PORT": "2", "TENZO_STATUS_PORT": "3"}
	got := text("127.0.0.1:4")
	for _, want := range []string{"http://localhost:1/", "http://localhost:2\n", "http://localhost:3/metrics", "TENZO_EMBEDDED_ADDR=127.0.0.1:4 "} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing:\n%s", want, got)
		}
	}
}

package runtime

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tenzo-ai/tenzo-gateway/config/apikey"
	"github.com/tenzo-ai/tenzo-gateway/config/embedded"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// embeddedServers holds the Redis servers in this process, by address; they are for trial. A server
// runs from the first configuration that names it until the process ends: its data is only in
// memory, and a reload that leaves it out for a moment must not lose it.
var embeddedServers = struct {
	sync.Mutex
	byAddr map[string]*embedded.Server
}{byAddr: map[string]*embedded.Server{}}

// demoTimeout bounds the creation of the demo organization.
const demoTimeout = 5 * time.Second

// startEmbedded starts the server at rawURL unless it is running. On a new server it creates a demo
// organization with a key, and prints how to use it.
func startEmbedded(rawURL string, st *store.Store, logger *slog.Logger) error {
	u, err := url.Parse(rawURL)
	if err != nil {
		return fmt.Errorf("address of the embedded redis: %w", err)
	}
	embeddedServers.Lock()
	defer embeddedServers.Unlock()
	_, running := embeddedServers.byAddr[u.Host]
	if !running {
		server, err := embedded.Start(u.Host, logger)
		if err != nil {
			return fmt.Errorf("starting the embedded redis (set TENZO_EMBEDDED_ADDR to use another address): %w", err)
		}
		embeddedServers.byAddr[u.Host] = server
	}
	ctx, cancel := context.WithTimeout(context.Background(), demoTimeout)
	defer cancel()
	// Even on a running server: another prefix is another store.
	if _, err := st.Initialize(ctx); err != nil {
		return fmt.Errorf("initializing the embedded redis: %w", err)
	}
	if running {
		return nil
	}
	key, err := embedded.Demo(ctx, apikey.NewService(st))
	if err != nil {
		return err
	}
	go welcome(os.Stderr, key, u.Host)
	return nil
}

// CloseEmbedded stops every embedded server; their data is lost.
func CloseEmbedded(context.Context) {
	embeddedServers.Lock()
	defer embeddedServers.Unlock()
	for addr, server := range embeddedServers.byAddr {
		server.Close()
		delete(embeddedServers.byAddr, addr)
	}
}

// welcome prints how to begin, once the configuration is served, so that it comes last. It prints
// to standard error and not to a log, because it shows a key. It ends within about a minute.
func welcome(out io.Writer, key apikey.Created, redisAddr string) {
	for deadline := time.Now().Add(time.Minute); caddy.ActiveContext().Context == nil; {
		if time.Now().After(deadline) {
			return // the start failed
		}
		time.Sleep(welcomeAfter / 10)
	}
	time.Sleep(welcomeAfter) // Caddy's own last lines
	fmt.Fprint(out, welcomeText(key, redisAddr, os.Getenv))
}

// welcomeAfter is the time between the start and the text.
const welcomeAfter = 200 * time.Millisecond

// welcomeText says where everything is. xcaddy.sh sets the ports in the environment of the
// Caddyfile that it runs; with another Caddyfile only the first request can be shown.
func welcomeText(key apikey.Created, redisAddr string, env func(string) string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nThe gateway is ready. Its embedded Redis holds a demo organization, %s, with an API key:\n\n"+
		"    curl -H 'Authorization: Bearer %s' http://localhost:%s/v1/jobs\n\n",
		key.OrgID, key.Secret, cmp.Or(env("TENZO_GATEWAY_PORT"), "8080"))
	if port := env("TENZO_TOOLS_PORT"); port != "" {
		fmt.Fprintf(&b, "API keys and webhook of %s: http://localhost:%s\n", key.OrgID, port)
	}
	if port := env("TENZO_STATUS_PORT"); port != "" {
		fmt.Fprintf(&b, "Metrics: http://localhost:%s/metrics\n", port)
	}
	fmt.Fprintf(&b, "In a second terminal, in the same folder:\n\n    ")
	if redisAddr != store.EmbeddedAddr {
		fmt.Fprintf(&b, "TENZO_EMBEDDED_ADDR=%s ", redisAddr)
	}
	fmt.Fprintf(&b, "%s keys list --org %s\n\n", os.Args[0], key.OrgID)
	return b.String()
}

package runtime

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"sync"
	"time"

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
	printWelcome(key)
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

// printWelcome prints how to send a first request. It prints to standard error and not to a log,
// because it shows a key.
func printWelcome(key apikey.Created) {
	port := os.Getenv("TENZO_GATEWAY_PORT")
	if port == "" {
		port = "8080"
	}
	fmt.Fprintf(os.Stderr, "\nThe embedded Redis holds a demo organization, %s, with an API key. Try it:\n\n"+
		"    curl -H 'Authorization: Bearer %s' http://localhost:%s/\n\n", key.OrgID, key.Secret, port)
}

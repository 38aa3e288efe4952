package caddymodule

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"sync"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/embedded"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// embeddedServers are the servers in this process, by address, for trial. One lives from the first configuration that names it until the
// process ends, whatever configurations come in between: what it holds is only in memory, and a reload that leaves it out for a moment
// must not lose it.
var embeddedServers = struct {
	sync.Mutex
	byAddr map[string]*embedded.Server
}{byAddr: map[string]*embedded.Server{}}

// demoTimeout bounds the making of the demo organization.
const demoTimeout = 5 * time.Second

// startEmbedded starts the server behind a core's URL unless it runs already. On a fresh one it makes a demo organization with a key, and
// prints how to use it.
func startEmbedded(rawURL string, st *store.Store, logger *slog.Logger) error {
	u, err := url.Parse(rawURL)
	if err != nil {
		return fmt.Errorf("the embedded redis' address: %w", err)
	}
	embeddedServers.Lock()
	defer embeddedServers.Unlock()
	_, running := embeddedServers.byAddr[u.Host]
	if !running {
		server, err := embedded.Start(u.Host, logger)
		if err != nil {
			return fmt.Errorf("starting the embedded redis (TENZO_EMBEDDED_ADDR moves it): %w", err)
		}
		embeddedServers.byAddr[u.Host] = server
	}
	ctx, cancel := context.WithTimeout(context.Background(), demoTimeout)
	defer cancel()
	if _, err := st.Initialize(ctx); err != nil { // a store with another prefix is another store
		return fmt.Errorf("marking the embedded redis: %w", err)
	}
	if running {
		return nil
	}
	key, err := embedded.Demo(ctx, config.NewKeys(st))
	if err != nil {
		return err
	}
	welcome(key)
	return nil
}

// closeEmbedded stops every embedded server; what they hold is gone.
func closeEmbedded(context.Context) {
	embeddedServers.Lock()
	defer embeddedServers.Unlock()
	for addr, server := range embeddedServers.byAddr {
		server.Close()
		delete(embeddedServers.byAddr, addr)
	}
}

// terminal is where welcome goes.
var terminal io.Writer = os.Stderr

// welcome prints how to send a first request. It goes to standard error and to no log, since it shows a key.
func welcome(key config.CreatedKey) {
	port := os.Getenv("TENZO_GATEWAY_PORT")
	if port == "" {
		port = "8080"
	}
	fmt.Fprintf(terminal, "\nThe embedded Redis holds a demo organization, %s, with an API key. Try it:\n\n"+
		"    curl -H 'Authorization: Bearer %s' http://localhost:%s/\n\n", key.OrgID, key.Secret, port)
}

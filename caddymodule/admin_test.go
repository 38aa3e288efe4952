package caddymodule

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// adminSite is a configuration with an admin endpoint.
func adminSite(listen, rest string) string {
	origins := "localhost 127.0.0.1:" + port(listen) + " " + outwardIP() + ":" + port(listen)
	return fmt.Sprintf("{\n\tadmin %s {\n\t\torigins %s\n\t}\n%s", listen, origins, rest)
}

// outwardIP returns an address of this machine that is not loopback, or loopback if there is none.
func outwardIP() string {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return "127.0.0.1"
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil && !n.IP.IsLoopback() {
			return n.IP.String()
		}
	}
	return "127.0.0.1"
}

func TestAdminServesTheAPI(t *testing.T) {
	key := createKey(t, startStore(t), "acme")
	listen := harness.FreeAddr(t)
	load(t, adminSite(listen, "\ttenzo {\n\t\twebhooks\n\t}\n}"))
	url := "http://" + listen + "/tenzo/orgs/acme/keys"
	if response, body := get(t, client(t), url, ""); response.StatusCode != http.StatusOK || !strings.Contains(body, key.ID) {
		t.Errorf("answered %s %q", response.Status, body)
	}
	if response, _ := get(t, client(t), "http://"+listen+"/tenzo/openapi.json", ""); response.StatusCode != http.StatusOK {
		t.Errorf("openapi.json: %s", response.Status)
	}

	// The active configuration's app serves after reloads, too, and after a configuration without
	// it.
	second := startStore(t)
	there := createKey(t, second, "acme")
	load(t, adminSite(listen, "\ttenzo {\n\t\twebhooks\n\t}\n}"))
	if response, body := get(t, client(t), url, ""); response.StatusCode != http.StatusOK || !strings.Contains(body, there.ID) || strings.Contains(body, key.ID) {
		t.Errorf("after a reload answered %s %q", response.Status, body)
	}
	load(t, adminSite(listen, "}"))
	if response, body := get(t, client(t), url, ""); response.StatusCode != http.StatusServiceUnavailable || !strings.Contains(body, "does not use tenzo") ||
		response.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("without the app answered %s %q", response.Status, body)
	}
}

func TestAdminOnUnixSocket(t *testing.T) {
	startStore(t)
	socket := filepath.Join(t.TempDir(), "admin.sock")
	load(t, adminSite("unix/"+socket, "\ttenzo\n}"))
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	if response, body := get(t, &http.Client{Transport: transport}, "http://localhost/tenzo/orgs/acme/keys", ""); response.StatusCode != http.StatusOK {
		t.Errorf("answered %s %q", response.Status, body)
	}
}

func TestAdminRefusesOtherMachines(t *testing.T) {
	ip := outwardIP()
	if ip == "127.0.0.1" {
		t.Fatal("this machine has no address but loopback, so that nothing can be tried")
	}
	startStore(t)
	listen := harness.FreeAddr(t)
	load(t, adminSite("0.0.0.0:"+port(listen), "\ttenzo\n}"))
	if response, body := get(t, client(t), "http://"+ip+":"+port(listen)+"/tenzo/orgs/acme/keys", ""); response.StatusCode != http.StatusForbidden ||
		response.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("over an address that others reach, answered %s %q", response.Status, body)
	}
	if response, body := get(t, client(t), "http://127.0.0.1:"+port(listen)+"/tenzo/orgs/acme/keys", ""); response.StatusCode != http.StatusOK {
		t.Errorf("over loopback answered %s %q", response.Status, body)
	}
}

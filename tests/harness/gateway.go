package harness

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// GatewayOptions describe how to run tenzo-gateway.
type GatewayOptions struct {
	Caddyfile string   // for `run`; the environment has TENZO_TEST_ADMIN and XDG_*
	Args      []string // instead of `run`, such as `dispatch …`
	Env       []string
	Ready     string // a URL that answers below 500 once the process serves; "" waits for nothing
}

// Gateway is a running tenzo-gateway: `run` or a companion command.
type Gateway struct {
	*Process
	t      testing.TB
	admin  string
	config string
	home   string
}

// StartGateway builds tenzo-gateway if necessary, starts it and waits until it is ready. The
// harness chooses the admin endpoint: begin the global options with `admin {$TENZO_TEST_ADMIN}`.
func StartGateway(t testing.TB, o GatewayOptions) *Gateway {
	t.Helper()
	g := &Gateway{t: t, admin: FreeAddr(t)}
	home := t.TempDir()
	g.home = home
	args := o.Args
	if len(args) == 0 {
		g.config = filepath.Join(home, "Caddyfile")
		g.write(o.Caddyfile)
		args = []string{"run", "--config", g.config, "--adapter", "caddyfile"}
	}
	env := append([]string{
		"TENZO_TEST_ADMIN=" + g.admin, "HOME=" + home, "XDG_CONFIG_HOME=" + home, "XDG_DATA_HOME=" + home,
	}, o.Env...)
	g.Process = Start(t, Command{Name: "tenzo-gateway", Path: Binary(t), Args: args, Env: env, Dir: home})
	if o.Ready != "" {
		g.AwaitAnswer(o.Ready)
	}
	return g
}

// AwaitAnswer waits until a GET of url is answered with a status below 500.
func (g *Gateway) AwaitAnswer(url string) {
	g.t.Helper()
	client := &http.Client{Timeout: 2 * time.Second}
	defer client.CloseIdleConnections()
	Eventually(g.t, 30*time.Second, func() error {
		select {
		case <-g.Exited():
			g.t.Fatalf("tenzo-gateway ended at its start:\n%s", g.Log().Tail(16<<10))
		default:
		}
		resp, err := client.Get(url)
		if err != nil {
			return err
		}
		defer func() { _ = resp.Body.Close() }()
		if resp.StatusCode >= 500 {
			body, _ := io.ReadAll(resp.Body)
			return fmt.Errorf("%s answers %d: %s", url, resp.StatusCode, body)
		}
		return nil
	})
}

// Admin returns the URL of the admin endpoint.
func (g *Gateway) Admin() string { return "http://" + g.admin }

// Home returns the working folder of the process, in which it also keeps its files.
func (g *Gateway) Home() string { return g.home }

// Reload loads another Caddyfile, or the same one if it is empty, and returns the admin endpoint's
// error.
func (g *Gateway) Reload(caddyfile string) error {
	g.t.Helper()
	if caddyfile != "" {
		g.write(caddyfile)
	}
	text, err := os.ReadFile(g.config)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, g.Admin()+"/load", bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "text/caddyfile")
	req.Header.Set("Cache-Control", "must-revalidate") // reload even if nothing changed
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("the reload was refused with %d: %s", resp.StatusCode, body)
	}
	return nil
}

func (g *Gateway) write(caddyfile string) {
	g.t.Helper()
	if err := os.WriteFile(g.config, []byte(caddyfile), 0o600); err != nil {
		g.t.Fatal(err)
	}
}

// Command runs a command of tenzo-gateway to its end.
func (g *Gateway) Command(args ...string) Result { return RunGateway(g.t, nil, "", args...) }

// RunGateway runs a command of tenzo-gateway to its end, with input on its standard input.
func RunGateway(t testing.TB, env []string, input string, args ...string) Result {
	t.Helper()
	home := t.TempDir()
	env = append([]string{"HOME=" + home, "XDG_CONFIG_HOME=" + home, "XDG_DATA_HOME=" + home}, env...)
	return Run(t, Command{Name: "tenzo-gateway", Path: Binary(t), Args: args, Env: env, Dir: home}, input)
}

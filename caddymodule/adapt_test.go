package caddymodule

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/google/go-cmp/cmp"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/runtime"
)

// TestAdapt adapts each Caddyfile in testdata/adapt and compares the result, JSON or a part of an
// error message, with the text below the dashes.
func TestAdapt(t *testing.T) {
	files, err := filepath.Glob("testdata/adapt/*.caddyfiletest")
	if err != nil || len(files) < 10 {
		t.Fatalf("finding the cases: %d, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text, want, found := strings.Cut(string(content), "----------\n")
			if !found {
				t.Fatal("no line of dashes")
			}
			want = strings.TrimSpace(want)
			got, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
			if !strings.HasPrefix(want, "{") {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Fatalf("want an error with %q, got %v", want, err)
				}
				if strings.Contains(err.Error(), "s3cret") {
					t.Errorf("the error shows a password: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(decode(t, want), decode(t, string(got))); diff != "" {
				t.Errorf("the configuration differs (-want +got):\n%s", diff)
			}
		})
	}
}

func decode(t *testing.T, text string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return v
}

// TestDefaultCaddyfile checks the Caddyfile at the root: its modules exist, validating it dials
// nothing, and it is formatted like `caddy fmt` does.
func TestDefaultCaddyfile(t *testing.T) {
	text, err := os.ReadFile("../Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(caddyfile.Format(text)), string(text)); diff != "" {
		t.Errorf("it is not formatted (-want +got):\n%s", diff)
	}
	url, dialled := listenOnly(t)
	t.Setenv("TENZO_REDIS_URL", url)
	var parsed caddy.Config
	if err := caddy.StrictUnmarshalJSON(adapt(t, string(text)), &parsed); err != nil {
		t.Fatal(err)
	}
	if err := caddy.Validate(&parsed); err != nil {
		t.Fatal(err)
	}
	if n := dialled.Load(); n != 0 {
		t.Errorf("redis was dialled %d times", n)
	}
	for listener := range strings.FieldsSeq(string(adapt(t, string(text)))) {
		if strings.Contains(listener, `"listen":[":`) {
			t.Errorf("it listens beyond this machine: %s", listener)
		}
	}
	runtime.FinishTeardowns(t.Context())
	nothingInUse(t)
}

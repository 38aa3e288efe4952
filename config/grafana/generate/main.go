// Command generate writes the Grafana dashboards from the panels in gateway.go, webhooks.go and
// shared.go:
//
//	go run ./config/grafana/generate
//
// The JSON files in config/grafana are its output and never edited by hand; a test fails where they
// differ. To change a panel, edit its line here, run the command, and check the result in Grafana.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	folder := filepath.Join("config", "grafana")
	if len(os.Args) > 1 {
		folder = os.Args[1]
	}
	for _, d := range []dashboard{gateway(), webhooks()} {
		if err := write(filepath.Join(folder, d.uid+".json"), d); err != nil {
			fmt.Fprintln(os.Stderr, "writing a dashboard:", err)
			os.Exit(1)
		}
	}
}

func write(path string, d dashboard) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // expressions contain < and >
	e.SetIndent("", "  ")
	if err := e.Encode(d.model()); err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o644)
}

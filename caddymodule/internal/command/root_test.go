package command

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

func TestAdaptRoot(t *testing.T) {
	root := func() (*cobra.Command, *bytes.Buffer) {
		root := &cobra.Command{Use: "tenzo-gateway", Example: "$ caddy run", SilenceUsage: true}
		for _, name := range []string{"run", "upgrade", "add-package", "remove-package"} {
			root.AddCommand(&cobra.Command{Use: name, Short: name, RunE: func(*cobra.Command, []string) error { return nil }})
		}
		root.AddCommand(&cobra.Command{Use: "validate", RunE: func(cmd *cobra.Command, _ []string) error {
			cmd.SilenceErrors = true // as Caddy does, having logged the error
			return errors.New("it cannot work")
		}})
		AdaptRoot(root)
		var out bytes.Buffer
		root.SetOut(&out)
		root.SetErr(&out)
		return root, &out
	}
	help, out := root()
	help.SetArgs([]string{"--help"})
	if err := help.Execute(); err != nil {
		t.Fatal(err)
	}
	if text := out.String(); strings.Contains(text, "caddy run") || !strings.Contains(text, "$ tenzo-gateway run") || strings.Contains(text, "upgrade") || strings.Contains(text, "-package") {
		t.Errorf("the help is\n%s", text)
	}
	for _, name := range []string{"upgrade", "add-package", "remove-package"} {
		cmd, out := root()
		cmd.SetArgs([]string{name, "github.com/x/y"})
		if err := cmd.Execute(); err == nil || !strings.Contains(out.String(), name+" is not available") || !strings.Contains(out.String(), "./xcaddy.sh build") {
			t.Errorf("%s: %v %q", name, err, out)
		}
	}
	validate, out := root()
	validate.SetArgs([]string{"validate"})
	if err := validate.Execute(); err == nil || out.String() != "Error: it cannot work\n" {
		t.Errorf("validate: %v %q", err, out)
	}
	run, out := root()
	run.SetArgs([]string{"run"})
	if err := run.Execute(); err != nil || out.String() != "" {
		t.Errorf("run: %v %q", err, out)
	}
}

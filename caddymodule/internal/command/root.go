package command

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

// AdaptRoot adapts Caddy's root command to this program.
func AdaptRoot(root *cobra.Command) {
	root.Example = `  $ tenzo-gateway run --config Caddyfile
  $ tenzo-gateway validate --config Caddyfile
  $ tenzo-gateway keys create --org acme --name 'CRM import'
  $ tenzo-gateway webhook test --org acme
  $ tenzo-gateway events status`
	for _, cmd := range root.Commands() {
		switch cmd.Name() {
		case "upgrade", "add-package", "remove-package":
			disable(cmd)
		case "validate":
			printError(cmd)
		}
	}
}

// disable hides a command that downloads a build from caddyserver.com, where there is none with our
// modules: it would replace this program with another one.
func disable(cmd *cobra.Command) {
	why := fmt.Sprintf("%s is not available: it would replace this program with a build of caddyserver.com, which lacks the tenzo modules. "+
		"To update or to add plugins, build the program from its repository: ./xcaddy.sh build [--with PLUGIN]", cmd.Name())
	cmd.Hidden = true
	cmd.Short, cmd.Long = "Not available in this program", why
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(*cobra.Command, []string) error { return errors.New(why) }
}

// printError makes a command print its error to standard error, too. Caddy writes it to the log,
// and the log of a configuration that was provisioned before the error may be a file.
func printError(cmd *cobra.Command) {
	run := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		err := run(cmd, args)
		if err != nil {
			cmd.SilenceErrors = true
			fmt.Fprintf(cmd.ErrOrStderr(), "Error: %v\n", err)
		}
		return err
	}
}

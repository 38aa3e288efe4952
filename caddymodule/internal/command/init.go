package command

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

func initCommand() Command {
	var f storeFlags
	return Command{
		Name:  "init",
		Usage: "[--redis URL]",
		Short: "Marks a new, empty Redis as tenzo-gateway's store",
		Long: `Marks a new, empty Redis as tenzo-gateway's store by writing the key tenzo:schema if it is absent. Doing so
again is harmless.

Without the marker, requests with a key that is not found get 503, because a Redis that lost its data looks
like a new one. Run this command once for a new store. After restoring a backup, run it as the last step.
After losing data, run it only when you have decided to start over.`,
		Setup: func(cmd *cobra.Command) {
			f.register(cmd)
			cmd.Args = cobra.NoArgs
			cmd.RunE = func(cmd *cobra.Command, _ []string) error {
				return f.withStore(cmd, func(ctx context.Context, st *store.Store) error {
					created, err := call(ctx, st.Initialize)
					if err != nil {
						return err
					}
					if f.json {
						return printJSON(cmd, struct {
							Schema  string `json:"schema"`
							Created bool   `json:"created"`
						}{store.SchemaVersion, created})
					}
					said := "was marked before; nothing changed"
					if created {
						said = "is marked now"
					}
					fmt.Fprintf(cmd.OutOrStdout(), "The store at %s %s.\n", st.Addr(), said)
					return nil
				})
			}
		},
	}
}

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
		Long: `Marks a new, empty Redis as tenzo-gateway's store, by writing the key tenzo:schema where it is absent. Doing so again is harmless.

Without the marker every key that is not found is answered 503, since a Redis that lost its data cannot be told from a new one otherwise.
Run this once for a new store. After restoring a backup, run it as the last step; after losing data, not before deciding to start over.`,
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

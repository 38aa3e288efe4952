package command

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/apimodel"
	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/apikey"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

func keysCommand() Command {
	return Command{
		Name:  "keys",
		Usage: "create|list|revoke",
		Short: "Creates, lists and revokes API keys",
		Long:  "Creates, lists and revokes the API keys of organizations.",
		Setup: func(cmd *cobra.Command) {
			f := new(storeFlags)
			f.register(cmd)
			group(cmd, keysCreate(f), keysList(f), keysRevoke(f))
		},
	}
}

func keysCreate(f *storeFlags) *cobra.Command {
	var (
		org, name, expires string
		quiet              bool
	)
	cmd := &cobra.Command{
		Use:   "create --org ORG --name NAME [--expires TIME|DURATION] [--quiet]",
		Short: "Creates an API key and shows it once",
		Long: `Creates an API key and shows it once: Redis stores only its SHA-256.

--expires takes a time with its zone, or a duration from now: 2027-01-01T00:00:00Z, 90d, 12h.`,
		Example: "  tenzo-gateway keys create --org acme --name 'CRM import' --expires 90d",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOrg(org); err != nil {
				return err
			}
			var expiresAt time.Time
			if cmd.Flags().Changed("expires") {
				var err error
				if expiresAt, err = apikey.ParseExpiry(expires, time.Now()); err != nil {
					return fmt.Errorf("--expires: %w", err)
				}
			}
			return f.withStore(cmd, func(ctx context.Context, st *store.Store) error {
				created, err := call(ctx, func(ctx context.Context) (apikey.Created, error) {
					return apikey.NewService(st).Create(ctx, org, apikey.Params{Name: name, ExpiresAt: expiresAt})
				})
				if err != nil {
					return err
				}
				switch {
				case f.json:
					err = printJSON(cmd, apimodel.CreatedKeyOf(created))
				case quiet:
					_, err = fmt.Fprintln(cmd.OutOrStdout(), created.Secret)
				default:
					err = showCreated(cmd.OutOrStdout(), created)
				}
				if err != nil {
					return fmt.Errorf("the key %s was created but not shown; revoke it and create another: %w", created.ID, err)
				}
				return nil
			})
		},
	}
	orgFlag(cmd, &org)
	cmd.Flags().StringVar(&name, "name", "", "name of the key for people, 1 to 100 characters (required)")
	cmd.Flags().StringVar(&expires, "expires", "", "when the key expires: a `time` with its zone, or a duration such as 90d (default never)")
	cmd.Flags().BoolVar(&quiet, "quiet", false, "print the key alone, for scripts")
	_ = cmd.MarkFlagRequired("name") // the flag exists
	return cmd
}

func showCreated(w io.Writer, k apikey.Created) error {
	fmt.Fprintf(w, "%s\n\n    %s\n\n", paint(w, bold, "The API key, which is shown only once and stored nowhere:"), k.Secret)
	fields(w,
		[2]string{"id", k.ID},
		[2]string{"organization", k.OrgID},
		[2]string{"name", k.Name},
		[2]string{"created", formatTime(k.CreatedAt, "")},
		[2]string{"expires", formatTime(k.ExpiresAt, "never")},
	)
	_, err := fmt.Fprintf(w, "\nUse it in the Authorization header of each request, with your gateway's address:\n\n"+
		"    curl -H 'Authorization: Bearer %s' http://localhost:8080/\n\n"+
		"To revoke it: tenzo-gateway keys revoke %s\n", k.Secret, k.ID)
	return err
}

func keysList(f *storeFlags) *cobra.Command {
	var org string
	cmd := &cobra.Command{
		Use:   "list --org ORG",
		Short: "Lists an organization's API keys, newest first, with their usage",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOrg(org); err != nil {
				return err
			}
			return f.withStore(cmd, func(ctx context.Context, st *store.Store) error {
				keys := apikey.NewService(st)
				list, _, err := collect(ctx, 0, func(ctx context.Context, limit int, cursor string) (config.Page[apikey.Listed], error) {
					return keys.List(ctx, org, limit, cursor)
				})
				if err != nil {
					return err
				}
				if f.json {
					return printItems(cmd, list, apimodel.KeyOf)
				}
				return showKeys(cmd.OutOrStdout(), org, list, time.Now())
			})
		},
	}
	orgFlag(cmd, &org)
	return cmd
}

func showKeys(w io.Writer, org string, list []apikey.Listed, now time.Time) error {
	if len(list) == 0 {
		_, err := fmt.Fprintf(w, "%s has no API keys. To create one: tenzo-gateway keys create --org %[1]s --name NAME\n", org)
		return err
	}
	styles := map[string]style{apikey.StatusActive: green, apikey.StatusExpired: yellow, apikey.StatusRevoked: red}
	t := table{headings: []string{"STATUS", "NAME", "KEY", "ID", "CREATED", "EXPIRES", "USED", "LAST USED"}, right: map[int]bool{6: true}}
	for _, k := range list {
		t.add(cell{k.Status, styles[k.Status]}, cell{k.Name, bold}, cell{text: k.Hint}, cell{text: k.ID},
			cell{text: formatTime(k.CreatedAt, "unknown")}, cell{text: formatTime(k.ExpiresAt, "never")},
			cell{text: strconv.FormatInt(k.Count, 10)}, cell{text: relativeTime(k.LastUsedAt, now, "never")})
	}
	return t.print(w)
}

func keysRevoke(f *storeFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke KEY_ID",
		Short: "Revokes an API key permanently",
		Long: `Revokes the API key with this id (not the key itself) permanently: nothing reactivates it. Gateways refuse it
within milliseconds; one that cannot reach Redis may admit it for up to 60 seconds. Revoking again announces
the revocation again.`,
		Args: exactly(1, "the id of the key"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return f.withStore(cmd, func(ctx context.Context, st *store.Store) error {
				ctx, cancel := context.WithTimeout(ctx, commandTimeout)
				defer cancel()
				key, replicated, err := apikey.NewService(st).Revoke(ctx, "", args[0])
				if err != nil {
					return err
				}
				if f.json {
					return printJSON(cmd, apimodel.RevokedKeyOf(key, replicated))
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "Revoked %s of %s (%s). %s\n", key.ID, key.OrgID, printable(key.Name), replicaText[replicated])
				return err
			})
		},
	}
}

// replicaText says what is known about replicas after a revocation.
var replicaText = map[apikey.Replicated]string{
	apikey.NoReplica:    "Every gateway refuses it within 60 seconds, usually at once.",
	apikey.OnReplica:    "A replica has the revocation, too. Every gateway refuses the key within 60 seconds, usually at once.",
	apikey.NotOnReplica: "No replica confirmed the revocation within a second: a failover now may undo it. Run the command again later to be sure.",
}

// exactly requires n arguments; what describes them in the error.
func exactly(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return fmt.Errorf("%s takes %s, not %d arguments", cmd.CommandPath(), what, len(args))
		}
		return nil
	}
}

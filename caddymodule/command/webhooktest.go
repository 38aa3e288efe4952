package command

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher"
)

func webhookTest(f *storeFlags, version string) *cobra.Command {
	var (
		org, event string
		allowed    policyFlags
	)
	cmd := &cobra.Command{
		Use:   "test --org ORG [--event note.finalized]",
		Short: "Delivers a sample event now and prints what came back; exits 1 where it was not acknowledged",
		Long: `Delivers a sample of an event to an organization's webhook, now and once, and prints what was sent and what came back. The attempt stands
in the delivery log and counts nowhere.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOrg(org); err != nil {
				return err
			}
			networks, err := allowed.networks()
			if err != nil {
				return err
			}
			o := dispatcher.Defaults()
			o.AllowHTTP, o.AllowNetworks, o.CAFile = allowed.allowHTTP, networks, allowed.caFile
			o.Version, o.Logger = version, slog.New(slog.DiscardHandler)
			return f.withStore(cmd, func(ctx context.Context, st *store.Store) error {
				tester, err := dispatcher.NewTester(st, o)
				if err != nil {
					return err
				}
				ctx, cancel := context.WithTimeout(ctx, o.Timeout+commandTimeout)
				defer cancel()
				result, err := tester.Test(ctx, org, event)
				if err != nil {
					return err
				}
				if err := showTest(cmd, f.json, result); err != nil {
					return err
				}
				if !result.Acknowledged {
					return fmt.Errorf("not acknowledged: %s", printable(result.Error))
				}
				return nil
			})
		},
	}
	orgFlag(cmd, &org)
	cmd.Flags().StringVar(&event, "event", "note.finalized", "the event's `type`")
	allowed.register(cmd)
	return cmd
}

func showTest(cmd *cobra.Command, asJSON bool, r dispatcher.TestResult) error {
	if asJSON {
		return printJSON(cmd, struct {
			Acknowledged bool    `json:"acknowledged"`
			Status       *int    `json:"status"`
			Error        *string `json:"error"`
			DurationMS   int64   `json:"duration_ms"`
		}{r.Acknowledged, orNull(r.Status), orNull(r.Error), r.Duration.Milliseconds()})
	}
	answer := "none"
	if r.Status != 0 {
		answer = fmt.Sprintf("HTTP %d", r.Status)
	}
	w := cmd.OutOrStdout()
	fields(w, [2]string{"answer", answer}, [2]string{"took", r.Duration.Round(time.Millisecond).String()})
	verdict := paint(w, green, "Acknowledged: the webhook works.")
	if !r.Acknowledged {
		verdict = paint(w, red, "Not acknowledged")
	}
	_, err := fmt.Fprintln(w, verdict)
	return err
}

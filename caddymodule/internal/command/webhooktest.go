package command

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/apimodel"
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
		Short: "Delivers a sample event now and prints the response; exits 1 if it was not acknowledged",
		Long: `Delivers a sample of an event to an organization's webhook, once and immediately, and prints the request and the
response. The attempt is in the delivery log, and in no book or metric.`,
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
				defer tester.Close()
				ctx, cancel := context.WithTimeout(ctx, o.Timeout+commandTimeout)
				defer cancel()
				result, err := tester.Test(ctx, org, event)
				if err != nil {
					return err
				}
				if err := showTest(cmd, f.json, event, result); err != nil {
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

// showTest prints a test: the request, the phases, and the response.
func showTest(cmd *cobra.Command, asJSON bool, event string, r dispatcher.TestResult) error {
	if asJSON {
		return printJSON(cmd, apimodel.TestOf(r))
	}
	w := cmd.OutOrStdout()
	if r.Trace == nil {
		fields(w, [2]string{"sent", "nothing"})
	} else {
		showTrace(w, event, r)
	}
	verdict := paint(w, green, "Acknowledged: the webhook works.")
	if !r.Acknowledged {
		verdict = paint(w, red, "Not acknowledged: ") + printable(r.Error) + "."
	}
	_, err := fmt.Fprintf(w, "\n%s\n", verdict)
	return err
}

func showTrace(w io.Writer, event string, r dispatcher.TestResult) {
	t := r.Trace
	heading := "Sent"
	if t.Address == "" {
		heading = "To be sent, had there been a connection"
	}
	fmt.Fprintf(w, "%s\n", paint(w, bold, heading))
	rows := [][2]string{{"event", event}, {"body", fmt.Sprintf("%d bytes", len(r.Body))}}
	fields(w, append(rows, headers(t.Sent)...)...)

	fmt.Fprintf(w, "\n%s\n", paint(w, bold, "Phases"))
	rows = nil
	for _, phase := range []struct {
		name string
		took time.Duration
	}{{"resolve name", t.DNS}, {"connect", t.Connect}, {"tls handshake", t.TLS}, {"wait for answer", t.Wait}} {
		took := "-"
		if phase.took > 0 {
			took = formatElapsed(phase.took, 10*time.Microsecond)
		}
		rows = append(rows, [2]string{phase.name, took})
	}
	address := t.Address
	if address == "" {
		address = "not connected"
	}
	fields(w, append(rows, [2]string{"in all", formatElapsed(r.Duration, 10*time.Microsecond)}, [2]string{"address", address})...)

	fmt.Fprintf(w, "\n%s\n", paint(w, bold, "Received"))
	if r.Status == 0 {
		fmt.Fprintln(w, "no answer")
		return
	}
	status := strings.TrimSpace(fmt.Sprintf("%d %s", r.Status, http.StatusText(r.Status)))
	fields(w, append([][2]string{{"status", status}}, headers(t.Received)...)...)
}

// headers returns header fields in order of their names.
func headers(h http.Header) [][2]string {
	var rows [][2]string
	for _, name := range slices.Sorted(maps.Keys(h)) {
		for _, value := range h[name] {
			rows = append(rows, [2]string{name, value})
		}
	}
	return rows
}

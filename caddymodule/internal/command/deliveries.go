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
	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

func webhookDeliveries(f *storeFlags) *cobra.Command {
	var (
		org   string
		limit int
	)
	cmd := &cobra.Command{
		Use:   "deliveries --org ORG",
		Short: "Lists the latest attempts to deliver an organization's events, newest first",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOrg(org); err != nil {
				return err
			}
			return f.withStore(cmd, func(ctx context.Context, st *store.Store) error {
				q := queue.New(st, queue.Options{})
				list, more, err := collect(ctx, limit, func(ctx context.Context, limit int, cursor string) (config.Page[queue.Delivery], error) {
					return q.Deliveries(ctx, org, limit, cursor)
				})
				if err != nil {
					return err
				}
				if f.json {
					err = printItems(cmd, list, apimodel.DeliveryOf)
				} else {
					err = showDeliveries(cmd.OutOrStdout(), org, list)
				}
				if err != nil {
					return err
				}
				return hintMore(cmd, more)
			})
		},
	}
	orgFlag(cmd, &org)
	limitFlag(cmd, &limit)
	return cmd
}

func showDeliveries(w io.Writer, org string, list []queue.Delivery) error {
	if len(list) == 0 {
		_, err := fmt.Fprintf(w, "Nothing was delivered to %s within the last 30 days.\n", org)
		return err
	}
	t := table{headings: []string{"TIME", "EVENT", "ID", "ATTEMPT", "STATUS", "DURATION", "ERROR"}, right: map[int]bool{5: true}}
	for _, d := range list {
		status, look, attempt := "-", green, strconv.Itoa(d.Attempt)
		if d.Status != 0 {
			status = strconv.Itoa(d.Status)
		}
		if d.Error != "" {
			look = red
		}
		switch {
		case d.Skipped():
			attempt, look = "-", yellow
		case d.Attempt == 0:
			attempt = "test"
		}
		t.add(cell{text: formatTime(d.At, "unknown")}, cell{text: d.Event}, cell{text: d.ID}, cell{text: attempt}, cell{status, look},
			cell{text: formatElapsed(d.Duration, time.Millisecond)}, cell{d.Error, look})
	}
	return t.print(w)
}

package command

import (
	"context"
	"fmt"
	"io"

	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/apimodel"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

func deadReplay(f *storeFlags) *cobra.Command {
	var (
		org string
		all bool
	)
	cmd := &cobra.Command{
		Use:   "replay (ID… [--org ORG] | --org ORG | --all)",
		Short: "Delivers dead events afresh, under the same Webhook-Id",
		Long: `Moves dead events back to be delivered afresh, each in one step, under the same Webhook-Id. Those of an organization without an active
webhook stay where they are. Exits 1 where any was refused.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, ids []string) error {
			return f.withStore(cmd, func(ctx context.Context, st *store.Store) error {
				wish := queue.Replay{Org: org, All: all}
				if len(ids) > 0 {
					wish.IDs = ids
				}
				total, err := replay(ctx, queue.New(st, queue.Options{}), wish, progressOn(cmd.ErrOrStderr()))
				if err != nil {
					return err
				}
				return showReplayed(cmd, f.json, total)
			})
		},
	}
	cmd.Flags().StringVar(&org, "org", "", "those of the organization with this `id`")
	cmd.Flags().BoolVar(&all, "all", false, "those of all organizations")
	return cmd
}

// replayStep is how many dead events one step looks at; small enough for progress to show.
const replayStep = 200

// replay grants wish in steps until nothing is left to look at, and tells progress after each how many were looked at, of how many.
func replay(ctx context.Context, q *queue.Queue, wish queue.Replay, progress func(done, of int)) (queue.ReplayResult, error) {
	var total queue.ReplayResult
	done, of := 0, 0
	step := func(wish queue.Replay, left int) (queue.ReplayResult, error) {
		r, err := call(ctx, func(ctx context.Context) (queue.ReplayResult, error) { return q.Replay(ctx, wish) })
		total.Replayed += r.Replayed // also of a step that failed halfway
		if err != nil && total.Replayed > 0 {
			return r, fmt.Errorf("after %d were replayed: %w", total.Replayed, err)
		}
		if err != nil {
			return r, err
		}
		total.Refused = append(total.Refused, r.Refused...)
		done += r.Replayed + len(r.Refused)
		if of == 0 { // events that die meanwhile are not part of it
			of = done + left + r.Remaining
		}
		progress(min(done, of), of)
		return r, nil
	}
	if ids := wish.IDs; len(ids) > 0 {
		for len(ids) > 0 {
			n := min(len(ids), replayStep)
			wish.IDs = ids[:n]
			r, err := step(wish, len(ids)-n)
			refused := total.Refused
			for err == nil && r.Remaining > 0 && r.Replayed > 0 { // ids of which more events died than one call moves
				r, err = step(wish, 0)
				total.Refused = refused // what is moved by now is found no more
			}
			if err != nil {
				return total, err
			}
			total.Remaining += r.Remaining
			ids = ids[n:]
		}
		return total, nil
	}
	wish.Limit = replayStep
	for {
		r, err := step(wish, 0)
		if err != nil {
			return total, err
		}
		if r.NextCursor == "" {
			total.Remaining = r.Remaining
			return total, nil
		}
		wish.Cursor = r.NextCursor
	}
}

// progressOn returns a function that draws a progress bar where w is a terminal, and does nothing elsewhere.
func progressOn(w io.Writer) func(done, of int) {
	if !isTerminal(w) {
		return func(int, int) {}
	}
	bar := progressbar.NewOptions(-1,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetDescription("replaying"),
		progressbar.OptionShowCount(),
		progressbar.OptionSetPredictTime(true),
		progressbar.OptionClearOnFinish(),
	)
	return func(done, of int) {
		// What cannot be drawn is no reason to stop.
		bar.ChangeMax(of)
		_ = bar.Set(done)
		if done >= of {
			_ = bar.Finish()
		}
	}
}

func showReplayed(cmd *cobra.Command, asJSON bool, r queue.ReplayResult) error {
	if asJSON {
		if err := printJSON(cmd, apimodel.ReplayedOf(r)); err != nil {
			return err
		}
	} else {
		w := cmd.OutOrStdout()
		fmt.Fprintf(w, "Replayed %d.\n", r.Replayed)
		if len(r.Refused) > 0 {
			fmt.Fprintf(w, "\nRefused %d, which stay where they are:\n", len(r.Refused))
			t := table{headings: []string{"ID", "ORGANIZATION", "REASON"}}
			for _, x := range r.Refused {
				t.add(cell{x.ID, bold}, cell{text: x.OrgID}, cell{refusedWords(x.Reason), yellow})
			}
			if err := t.print(w); err != nil {
				return err
			}
		}
	}
	if len(r.Refused) > 0 {
		return fmt.Errorf("%d of %d events were refused", len(r.Refused), r.Replayed+len(r.Refused))
	}
	return nil
}

// refusedWords say a reason for people.
func refusedWords(reason string) string {
	switch reason {
	case queue.RefusedNotFound:
		return "there is no such dead event"
	case queue.RefusedInactive:
		return "no active webhook: set or enable it first"
	case queue.RefusedAmbiguous:
		return "several organizations have a dead event with this id: name one with --org"
	}
	return reason
}

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
		Short: "Delivers dead letters again, with the same Webhook-Id",
		Long: `Moves dead letters back into the queue, each in one atomic step. They are delivered like new events, with the same
Webhook-Id. Those of an organization without an active webhook stay dead letters. Exits 1 if any was refused.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, ids []string) error {
			return f.withStore(cmd, func(ctx context.Context, st *store.Store) error {
				request := queue.Replay{Org: org, All: all}
				if len(ids) > 0 {
					request.IDs = ids
				}
				total, err := replay(ctx, queue.New(st, queue.Options{}), request, progressOn(cmd.ErrOrStderr()))
				if err != nil {
					return err
				}
				return showReplayed(cmd, f.json, total)
			})
		},
	}
	cmd.Flags().StringVar(&org, "org", "", "dead letters of the organization with this `id`")
	cmd.Flags().BoolVar(&all, "all", false, "dead letters of all organizations")
	return cmd
}

// replayStep is the number of dead letters that one call handles, small enough to show progress.
const replayStep = 200

// replay carries out request in steps until nothing is left. After each step it calls progress with
// how many dead letters were handled, of how many.
func replay(ctx context.Context, q *queue.Queue, request queue.Replay, progress func(done, of int)) (queue.ReplayResult, error) {
	var total queue.ReplayResult
	done, of := 0, 0
	step := func(request queue.Replay, left int) (queue.ReplayResult, error) {
		r, err := call(ctx, func(ctx context.Context) (queue.ReplayResult, error) { return q.Replay(ctx, request) })
		total.Replayed += r.Replayed // a step that failed may have replayed some
		if err != nil && total.Replayed > 0 {
			return r, fmt.Errorf("after %d were replayed: %w", total.Replayed, err)
		}
		if err != nil {
			return r, err
		}
		total.Refused = append(total.Refused, r.Refused...)
		done += r.Replayed + len(r.Refused)
		if of == 0 { // later dead letters do not change it
			of = done + left + r.Remaining
		}
		progress(min(done, of), of)
		return r, nil
	}
	if ids := request.IDs; len(ids) > 0 {
		for len(ids) > 0 {
			n := min(len(ids), replayStep)
			request.IDs = ids[:n]
			r, err := step(request, len(ids)-n)
			refused := total.Refused
			// One id may name more dead letters than one call moves.
			for err == nil && r.Remaining > 0 && r.Replayed > 0 {
				r, err = step(request, 0)
				total.Refused = refused // ids that were moved are not found any more
			}
			if err != nil {
				return total, err
			}
			total.Remaining += r.Remaining
			ids = ids[n:]
		}
		return total, nil
	}
	request.Limit = replayStep
	for {
		r, err := step(request, 0)
		if err != nil {
			return total, err
		}
		if r.NextCursor == "" {
			total.Remaining = r.Remaining
			return total, nil
		}
		request.Cursor = r.NextCursor
	}
}

// progressOn returns a function that draws a progress bar if w is a terminal, and does nothing
// otherwise.
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
		// Errors of drawing do not stop the replay.
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
			fmt.Fprintf(w, "\nRefused %d, which stay dead letters:\n", len(r.Refused))
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

// refusedWords words a reason for people.
func refusedWords(reason string) string {
	switch reason {
	case queue.RefusedNotFound:
		return "there is no such dead letter"
	case queue.RefusedInactive:
		return "no active webhook: set or enable it first"
	case queue.RefusedAmbiguous:
		return "several organizations have a dead letter with this id: choose one with --org"
	}
	return reason
}

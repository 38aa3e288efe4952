package command

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/apimodel"
	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher/queue"
)

func eventsCommand() Command {
	return Command{
		Name:  "events",
		Usage: "publish|dead|status",
		Short: "Publishes events, lists and replays dead letters, shows the books",
		Long:  "Publishes webhook events, lists and replays dead letters, and shows the books, which must balance.",
		Setup: func(cmd *cobra.Command) {
			f := new(storeFlags)
			f.register(cmd)
			dead := &cobra.Command{Use: "dead list|replay", Short: "Lists and replays dead letters"}
			group(dead, deadList(f), deadReplay(f))
			group(cmd, eventsPublish(f), dead, eventsStatus(f))
		},
	}
}

func eventsPublish(f *storeFlags) *cobra.Command {
	var org, event, id string
	cmd := &cobra.Command{
		Use:   "publish --org ORG --event EVENT [--id ID] FILE|-",
		Short: "Publishes an event from a file or standard input",
		Long: `Publishes an event whose payload is a JSON object in a file or on standard input. With --id, an event that is
published again within 24 hours of its delivery is delivered once. Without --id, each is a separate event.
It warns about an event that is not documented, and about an organization without an active webhook.`,
		Example: "  tenzo-gateway events publish --org acme --event note.finalized --id note_123 note.json",
		Args:    exactly(1, "one file, or - for standard input"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkOrg(org); err != nil {
				return err
			}
			payload, err := readSource(cmd.InOrStdin(), args[0])
			if err != nil {
				return err
			}
			return f.withStore(cmd, func(ctx context.Context, st *store.Store) error {
				q, e := queue.New(st, queue.Options{}), queue.Event{Name: event, OrgID: org, ID: id, Payload: payload}
				published, err := call(ctx, func(ctx context.Context) (string, error) { return q.Publish(ctx, e) })
				if err != nil {
					return err
				}
				warnings, _ := call(ctx, func(ctx context.Context) ([]queue.Warning, error) { return q.Warnings(ctx, e), nil })
				if f.json {
					return printJSON(cmd, struct {
						apimodel.Published
						Event string `json:"event"`
						OrgID string `json:"org_id"`
					}{apimodel.PublishedOf(published, warnings), event, org})
				}
				for _, w := range warnings {
					fmt.Fprintf(cmd.ErrOrStderr(), "Warning: %s.\n", printable(w.Detail))
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "Published %s for %s; its Webhook-Id is %s.\n", event, org, published)
				return err
			})
		},
	}
	orgFlag(cmd, &org)
	cmd.Flags().StringVar(&event, "event", "", "the event's `type`, such as note.finalized (required)")
	cmd.Flags().StringVar(&id, "id", "", "the event's own `id`, unique within the organization; it becomes the Webhook-Id")
	_ = cmd.MarkFlagRequired("event") // the flag exists
	return cmd
}

func eventsStatus(f *storeFlags) *cobra.Command {
	var accept bool
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Shows the books; exits 1 if they do not balance",
		Long: `Shows the books. At any time, published + replayed = delivered + skipped + dead + duplicate + waiting. What is
missing on the right is the difference: events that somebody deleted or trimmed. It remains, and this command
exits 1, until it is written off with --accept.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return f.withStore(cmd, func(ctx context.Context, st *store.Store) error {
				q := queue.New(st, queue.Options{})
				var writtenOff int64
				books, err := call(ctx, func(ctx context.Context) (b queue.Books, err error) {
					if !accept {
						return q.Books(ctx)
					}
					writtenOff, b, err = q.AcceptDifference(ctx)
					return b, err
				})
				if err != nil {
					return err
				}
				if err := showBooks(cmd, f.json, books, accept, writtenOff); err != nil {
					return err
				}
				if books.Difference != 0 {
					return fmt.Errorf("the books do not balance: %d events are missing", books.Difference)
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&accept, "accept", false, "write off the difference")
	return cmd
}

func showBooks(cmd *cobra.Command, asJSON bool, b queue.Books, accept bool, writtenOff int64) error {
	if asJSON {
		books := struct {
			Published  int64  `json:"published"`
			Replayed   int64  `json:"replayed"`
			Delivered  int64  `json:"delivered"`
			Skipped    int64  `json:"skipped"`
			Dead       int64  `json:"dead"`
			Duplicate  int64  `json:"duplicate"`
			Waiting    int64  `json:"waiting"`
			Difference int64  `json:"difference"`
			WrittenOff *int64 `json:"written_off,omitempty"`
		}{b.Published, b.Replayed, b.Delivered, b.Skipped, b.Dead, b.Duplicate, b.Waiting, b.Difference, nil}
		if accept {
			books.WrittenOff = &writtenOff
		}
		return printJSON(cmd, books)
	}
	if accept {
		fmt.Fprintf(cmd.OutOrStdout(), "Wrote off a difference of %d.\n\n", writtenOff)
	}
	difference := green
	if b.Difference != 0 {
		difference = red
	}
	t := table{headings: []string{"BOOKS", "EVENTS", ""}, right: map[int]bool{1: true}}
	for _, row := range []struct {
		name  string
		n     int64
		style style
		what  string
	}{
		{"published", b.Published, plain, "by producers"},
		{"replayed", b.Replayed, plain, "dead letters delivered again"},
		{"delivered", b.Delivered, plain, "acknowledged by the endpoint"},
		{"skipped", b.Skipped, plain, "no active webhook"},
		{"dead", b.Dead, plain, "moved to dead letters; see events dead list"},
		{"duplicate", b.Duplicate, plain, "published again with the same id"},
		{"waiting", b.Waiting, plain, "not finished yet"},
		{"difference", b.Difference, difference, "must be 0"},
	} {
		t.add(cell{row.name, bold}, cell{strconv.FormatInt(row.n, 10), row.style}, cell{row.what, dim})
	}
	return t.print(cmd.OutOrStdout())
}

func deadList(f *storeFlags) *cobra.Command {
	var (
		org   string
		limit int
	)
	cmd := &cobra.Command{
		Use:   "list [--org ORG]",
		Short: "Lists dead letters, newest first",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if org != "" {
				if err := checkOrg(org); err != nil {
					return err
				}
			}
			return f.withStore(cmd, func(ctx context.Context, st *store.Store) error {
				q := queue.New(st, queue.Options{})
				list, more, err := collect(ctx, limit, func(ctx context.Context, limit int, cursor string) (config.Page[queue.DeadLetter], error) {
					return q.DeadLetters(ctx, org, limit, cursor)
				})
				if err != nil {
					return err
				}
				if f.json {
					err = printItems(cmd, list, deadLetterOf)
				} else {
					err = showDeadLetters(cmd.OutOrStdout(), list)
				}
				if err != nil {
					return err
				}
				return hintMore(cmd, more)
			})
		},
	}
	cmd.Flags().StringVar(&org, "org", "", "only those of the organization with this `id`")
	limitFlag(cmd, &limit)
	return cmd
}

// deadLetterJSON is the JSON form of a dead letter, with the JSON text of its payload as published.
type deadLetterJSON struct {
	apimodel.DeadLetter
	Payload string `json:"payload"`
}

func deadLetterOf(d queue.DeadLetter) deadLetterJSON {
	return deadLetterJSON{apimodel.DeadLetterOf(d), string(d.Payload)}
}

func showDeadLetters(w io.Writer, list []queue.DeadLetter) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "There are no dead letters.")
		return err
	}
	t := table{headings: []string{"DEAD SINCE", "ORGANIZATION", "EVENT", "ID", "REASON", "ATTEMPTS", "STATUS", "LAST ERROR"}, right: map[int]bool{5: true}}
	for _, d := range list {
		status := "-"
		if d.LastStatus != 0 {
			status = strconv.Itoa(d.LastStatus)
		}
		t.add(cell{text: formatTime(d.DeadAt, "unknown")}, cell{text: d.OrgID}, cell{text: d.Event}, cell{d.ID, bold}, cell{d.Reason, yellow},
			cell{text: strconv.Itoa(d.Attempts)}, cell{text: status}, cell{text: d.LastError})
	}
	return t.print(w)
}

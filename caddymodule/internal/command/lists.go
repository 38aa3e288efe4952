package command

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tenzo-ai/tenzo-gateway/config"
)

// limitFlag adds the flag that bounds a long list.
func limitFlag(cmd *cobra.Command, limit *int) {
	cmd.Flags().IntVar(limit, "limit", 100, "how many to list at most; 0 lists all")
}

func sayMore(cmd *cobra.Command, more bool) error {
	if !more {
		return nil
	}
	_, err := fmt.Fprintln(cmd.ErrOrStderr(), "There are more: --limit 0 lists all.")
	return err
}

// pageSize is how many items one step of a long list reads.
const pageSize = 500

// collect reads pages until max items are there, or all with max 0; more says that further ones exist.
func collect[T any](ctx context.Context, limit int, page func(ctx context.Context, limit int, cursor string) (config.Page[T], error)) (list []T, more bool, err error) {
	if limit < 0 {
		return nil, false, errors.New("--limit is how many to list at most; 0 lists all")
	}
	cursor := ""
	for {
		size := pageSize
		if limit > 0 {
			size = min(size, limit-len(list))
		}
		p, err := call(ctx, func(ctx context.Context) (config.Page[T], error) { return page(ctx, size, cursor) })
		if err != nil {
			return nil, false, err
		}
		list = append(list, p.Items...)
		cursor = p.NextCursor
		if cursor == "" || limit > 0 && len(list) >= limit {
			return list, cursor != "", nil
		}
	}
}

package command

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/tenzo-ai/tenzo-gateway/config"
)

// limitFlag adds the flag that limits a long list.
func limitFlag(cmd *cobra.Command, limit *int) {
	cmd.Flags().IntVar(limit, "limit", 100, "maximum number to list; 0 lists all")
}

// hintMore says how to list more if there are more.
func hintMore(cmd *cobra.Command, more bool) error {
	if !more {
		return nil
	}
	_, err := fmt.Fprintln(cmd.ErrOrStderr(), "There are more: --limit 0 lists all.")
	return err
}

// pageSize is the number of items that one read of a long list returns.
const pageSize = 500

// collect reads pages until it has limit items, or all items if limit is 0. It also reports whether
// there are more.
func collect[T any](ctx context.Context, limit int, page func(ctx context.Context, limit int, cursor string) (config.Page[T], error)) (list []T, more bool, err error) {
	if limit < 0 {
		return nil, false, errors.New("--limit must not be negative; 0 lists all")
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

package config

// This file lists keys.

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// A position in an organization's index: behind this member, or, should it be gone meanwhile, behind its score.
type keyCursor struct {
	score float64
	hash  string
}

func (c keyCursor) String() string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatFloat(c.score, 'g', -1, 64) + " " + c.hash))
}

func parseKeyCursor(s string) (keyCursor, error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return keyCursor{}, ErrInvalidCursor
	}
	score, hash, found := strings.Cut(string(b), " ")
	n, err := strconv.ParseFloat(score, 64)
	if err != nil || math.IsNaN(n) || !found || hash == "" {
		return keyCursor{}, ErrInvalidCursor
	}
	return keyCursor{score: n, hash: hash}, nil
}

// List returns up to limit keys of org (0: 100), newest first, from cursor on (empty: the first page). Entries of the index that
// lead to no record, or to another organization's, are skipped. A record that breaks the rules, and so never passes, is listed as expired.
func (k *Keys) List(ctx context.Context, org string, limit int, cursor string) (Page[ListedKey], error) {
	if err := CheckOrg(org); err != nil {
		return Page[ListedKey]{}, err
	}
	limit, err := PageLimit(limit)
	if err != nil {
		return Page[ListedKey]{}, err
	}
	next, err := k.startOf(ctx, org, cursor)
	if err != nil {
		return Page[ListedKey]{}, err
	}
	page := Page[ListedKey]{Items: []ListedKey{}}
	var last keyCursor // of the last item
	for {
		// One more than the page holds says whether there is another page.
		entries, err := next(limit + 1 - len(page.Items))
		if err != nil {
			return Page[ListedKey]{}, fmt.Errorf("listing keys: %w", err)
		}
		if len(entries) == 0 {
			break
		}
		records, err := k.records(ctx, org, entries)
		if err != nil {
			return Page[ListedKey]{}, fmt.Errorf("listing keys: %w", err)
		}
		for i, r := range records {
			if r == nil {
				continue
			}
			if len(page.Items) == limit {
				page.NextCursor = last.String()
				return page, k.addUsage(ctx, page.Items)
			}
			page.Items = append(page.Items, *r)
			hash, _ := entries[i].Member.(string)
			last = keyCursor{score: entries[i].Score, hash: hash}
		}
	}
	if len(page.Items) == 0 && cursor == "" {
		// Nothing is listed, which means something only where the store holds our data.
		if err := k.store.Initialized(ctx); err != nil {
			return Page[ListedKey]{}, err
		}
	}
	return page, k.addUsage(ctx, page.Items)
}

// startOf returns what reads on in the index from a cursor.
func (k *Keys) startOf(ctx context.Context, org, cursor string) (func(n int) ([]redis.Z, error), error) {
	client, index := k.store.Client(), k.store.Names().OrgKeys(org)
	rank := int64(0)
	if cursor != "" {
		c, err := parseKeyCursor(cursor)
		if err != nil {
			return nil, err
		}
		at, err := client.ZRevRank(ctx, index, c.hash).Result()
		switch {
		case err == nil:
			rank = at + 1
		case errors.Is(err, redis.Nil): // gone from the index: all that are as new or newer were on the pages before
			if rank, err = client.ZCount(ctx, index, strconv.FormatFloat(c.score, 'g', -1, 64), "+inf").Result(); err != nil {
				return nil, fmt.Errorf("listing keys: %w", err)
			}
		default:
			return nil, fmt.Errorf("listing keys: %w", err)
		}
	}
	return func(n int) ([]redis.Z, error) {
		n = max(n, defaultLimit) // entries without a record should not cost a round trip each
		entries, err := client.ZRevRangeWithScores(ctx, index, rank, rank+int64(n)-1).Result()
		rank += int64(len(entries))
		return entries, err
	}, nil
}

// records reads the keys behind entries; what is to be skipped is nil.
func (k *Keys) records(ctx context.Context, org string, entries []redis.Z) ([]*ListedKey, error) {
	names := k.store.Names()
	keys := make([]string, len(entries))
	for i, e := range entries {
		hash, _ := e.Member.(string)
		keys[i] = names.Key(hash)
	}
	out := make([]*ListedKey, len(entries))
	now := k.now()
	for i, h := range k.store.ReadHashes(ctx, keys...) {
		if h.Err != nil {
			return nil, h.Err
		}
		key, err := KeyFromHash(h.Fields)
		if key.OrgID != org || key.ID == "" {
			continue
		}
		out[i] = &ListedKey{Key: key, Status: key.Status(now)}
		if err != nil {
			out[i].Status = StatusExpired
		}
	}
	return out, nil
}

// addUsage reads how much the keys were used.
func (k *Keys) addUsage(ctx context.Context, items []ListedKey) error {
	if len(items) == 0 {
		return nil
	}
	pipe := k.store.Client().Pipeline()
	cmds := make([]*redis.SliceCmd, len(items))
	for i, item := range items {
		cmds[i] = pipe.HMGet(ctx, k.store.Names().Usage(item.ID), store.UsageCount, store.UsageLastUsedAt)
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	for i, c := range cmds {
		values, err := c.Result()
		if err != nil {
			return fmt.Errorf("reading the use of keys: %w", err)
		}
		count, _ := values[0].(string)
		items[i].Count, _ = strconv.ParseInt(count, 10, 64)
		last, _ := values[1].(string)
		items[i].LastUsedAt, _ = readTime(last)
	}
	return nil
}

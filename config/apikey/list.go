package apikey

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

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// cursor is a position in the index of an organization: after this member or, if the member is
// gone, after its score.
type cursor struct {
	score float64
	hash  string
}

func (c cursor) String() string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatFloat(c.score, 'g', -1, 64) + " " + c.hash))
}

func parseCursor(text string) (cursor, error) {
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return cursor{}, config.ErrInvalidCursor
	}
	score, hash, found := strings.Cut(string(b), " ")
	n, err := strconv.ParseFloat(score, 64)
	if err != nil || math.IsNaN(n) || !found || hash == "" {
		return cursor{}, config.ErrInvalidCursor
	}
	return cursor{score: n, hash: hash}, nil
}

// readAhead is the least number of index entries that are read at once, so that entries without a
// record do not cost a round trip each.
const readAhead = 100

// List returns up to limit keys of org (0: 100), newest first, after a cursor (empty: the first
// page). It skips index entries without a record, or with a record of another organization. A
// record that breaks the rules, which a gateway refuses, is listed as expired.
func (s *Service) List(ctx context.Context, org string, limit int, after string) (config.Page[Listed], error) {
	if err := config.CheckOrg(org); err != nil {
		return config.Page[Listed]{}, err
	}
	limit, err := config.PageLimit(limit)
	if err != nil {
		return config.Page[Listed]{}, err
	}
	next, err := s.startAfter(ctx, org, after)
	if err != nil {
		return config.Page[Listed]{}, err
	}
	page := config.Page[Listed]{Items: []Listed{}}
	var last cursor // of the last item
	for {
		// One entry more than the page holds shows whether there is another page.
		entries, err := next(limit + 1 - len(page.Items))
		if err != nil {
			return config.Page[Listed]{}, fmt.Errorf("listing keys: %w", err)
		}
		if len(entries) == 0 {
			break
		}
		records, err := s.records(ctx, org, entries)
		if err != nil {
			return config.Page[Listed]{}, fmt.Errorf("listing keys: %w", err)
		}
		for i, r := range records {
			if r == nil {
				continue
			}
			if len(page.Items) == limit {
				page.NextCursor = last.String()
				return page, s.addUsage(ctx, page.Items)
			}
			page.Items = append(page.Items, *r)
			hash, _ := entries[i].Member.(string)
			last = cursor{score: entries[i].Score, hash: hash}
		}
	}
	if len(page.Items) == 0 && after == "" {
		// An empty list means something only if the store holds our data.
		if err := s.store.Initialized(ctx); err != nil {
			return config.Page[Listed]{}, err
		}
	}
	return page, s.addUsage(ctx, page.Items)
}

// startAfter returns a function that reads the next entries of the index after a cursor.
func (s *Service) startAfter(ctx context.Context, org, after string) (func(n int) ([]redis.Z, error), error) {
	client, index := s.store.Client(), s.store.Names().OrgKeys(org)
	rank := int64(0)
	if after != "" {
		c, err := parseCursor(after)
		if err != nil {
			return nil, err
		}
		at, err := client.ZRevRank(ctx, index, c.hash).Result()
		switch {
		case err == nil:
			rank = at + 1
		// Gone from the index: all entries that are as new or newer were on earlier pages.
		case errors.Is(err, redis.Nil):
			if rank, err = client.ZCount(ctx, index, strconv.FormatFloat(c.score, 'g', -1, 64), "+inf").Result(); err != nil {
				return nil, fmt.Errorf("listing keys: %w", err)
			}
		default:
			return nil, fmt.Errorf("listing keys: %w", err)
		}
	}
	return func(n int) ([]redis.Z, error) {
		n = max(n, readAhead)
		entries, err := client.ZRevRangeWithScores(ctx, index, rank, rank+int64(n)-1).Result()
		rank += int64(len(entries))
		return entries, err
	}, nil
}

// records reads the keys of index entries; an entry to skip is nil.
func (s *Service) records(ctx context.Context, org string, entries []redis.Z) ([]*Listed, error) {
	names := s.store.Names()
	keys := make([]string, len(entries))
	for i, e := range entries {
		hash, _ := e.Member.(string)
		keys[i] = names.Key(hash)
	}
	out := make([]*Listed, len(entries))
	now := s.now()
	for i, h := range s.store.ReadHashes(ctx, keys...) {
		if h.Err != nil {
			return nil, h.Err
		}
		key, err := FromHash(h.Fields)
		if key.OrgID != org || key.ID == "" {
			continue
		}
		out[i] = &Listed{Key: key, Status: key.Status(now)}
		if err != nil {
			out[i].Status = StatusExpired
		}
	}
	return out, nil
}

// addUsage reads the usage of keys.
func (s *Service) addUsage(ctx context.Context, items []Listed) error {
	if len(items) == 0 {
		return nil
	}
	pipe := s.store.Client().Pipeline()
	cmds := make([]*redis.SliceCmd, len(items))
	for i, item := range items {
		cmds[i] = pipe.HMGet(ctx, s.store.Names().Usage(item.ID), store.UsageCount, store.UsageLastUsedAt)
	}
	_, _ = pipe.Exec(ctx) // each command has its own error
	for i, c := range cmds {
		values, err := c.Result()
		if err != nil {
			return fmt.Errorf("reading the usage of keys: %w", err)
		}
		count, _ := values[0].(string)
		items[i].Count, _ = strconv.ParseInt(count, 10, 64)
		last, _ := values[1].(string)
		items[i].LastUsedAt, _ = store.ParseTime(last)
	}
	return nil
}

package store

import (
	"context"
	"errors"
	"log/slog"

	"github.com/redis/go-redis/v9"
)

func open(o Options) (*Store, error) {
	if o.Prefix == "" {
		o.Prefix = DefaultPrefix
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	opt, err := redis.ParseURL(o.URL)
	if err != nil {
		return nil, errors.New("the redis URL cannot be read")
	}
	opt.ContextTimeoutEnabled = true
	opt.MaxRetries = -1
	return &Store{
		names:    NewNames(o.Prefix),
		client:   redis.NewClient(opt),
		blocking: redis.NewClient(opt),
		logger:   o.Logger,
	}, nil
}

var readHash = redis.NewScript(`return {redis.call('HGETALL', KEYS[1]), redis.call('GET', KEYS[2])}`)

func (s *Store) readHashes(ctx context.Context, keys []string) []Hash {
	out := make([]Hash, len(keys))
	for i, k := range keys {
		v, err := readHash.Run(ctx, s.client, []string{k, s.names.Schema()}).Slice()
		if err != nil {
			out[i].Err = err
			continue
		}
		out[i].Fields = map[string]string{}
		flat, _ := v[0].([]any)
		for j := 0; j+1 < len(flat); j += 2 {
			out[i].Fields[flat[j].(string)] = flat[j+1].(string)
		}
		out[i].Marked = len(v) > 1 && v[1] == SchemaVersion
	}
	return out
}

func (s *Store) initialized(ctx context.Context) error {
	v, err := s.client.Get(ctx, s.names.Schema()).Result()
	if errors.Is(err, redis.Nil) || err == nil && v != SchemaVersion {
		return ErrNotInitialized
	}
	return err
}

func (s *Store) initialize(ctx context.Context) (bool, error) {
	ok, err := s.client.SetNX(ctx, s.names.Schema(), SchemaVersion, 0).Result()
	if err != nil || ok {
		return ok, err
	}
	return false, s.initialized(ctx)
}

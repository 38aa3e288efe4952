package store_test

import (
	"fmt"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// A server that knows no script runs each call once all the same, and the commands beside them.
func TestEvalPipelineSendsUnknownScripts(t *testing.T) {
	incr := redis.NewScript(`return redis.call('INCRBY', KEYS[1], ARGV[1])`)
	echo := redis.NewScript(`return {KEYS[1], ARGV[1]}`)
	cluster, single := harness.StartCluster(t), harness.StartRedis(t)
	for name, s := range map[string]struct {
		url   string
		nodes []*harness.Redis
	}{
		"single":  {single.URL(), []*harness.Redis{single}},
		"cluster": {cluster.URL(), cluster.Nodes},
	} {
		t.Run(name, func(t *testing.T) {
			st := open(t, store.Options{URL: s.url})
			const n = 60 // over all nodes of the Cluster
			for round := range 3 {
				if round == 1 {
					for _, node := range s.nodes {
						if err := node.Client(t).ScriptFlush(ctx(t)).Err(); err != nil {
							t.Fatal(err)
						}
					}
				}
				var calls []store.ScriptCall
				for i := range n {
					key := []string{fmt.Sprint("count:", i)}
					calls = append(calls, store.ScriptCall{Script: incr, Keys: key, Args: []any{i}},
						store.ScriptCall{Script: echo, Keys: key, Args: []any{i}})
				}
				var beside *redis.IntCmd
				replies := st.EvalPipeline(ctx(t), calls, func(pipe redis.Pipeliner) {
					beside = pipe.Incr(ctx(t), "beside")
				})
				for i := range n {
					if got, err := replies[2*i].Int(); err != nil || got != i*(round+1) {
						t.Errorf("round %d, call %d: %d, %v", round, i, got, err)
					}
					if got, err := replies[2*i+1].StringSlice(); err != nil || got[1] != fmt.Sprint(i) {
						t.Errorf("round %d, echo %d: %v, %v", round, i, got, err)
					}
				}
				if got, err := beside.Result(); err != nil || got != int64(round+1) {
					t.Errorf("round %d: the command beside the scripts ran %d times, %v", round, got, err)
				}
			}
		})
	}
}

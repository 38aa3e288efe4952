package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

// What a seed runs: two gateways, the second of which delivers webhooks too, and two dispatchers.
const (
	gateways  = 2
	processes = 4
)

var processNames = [processes]string{"gateway-0", "gateway-1", "dispatcher-2", "dispatcher-3"}

// Times that are shorter than production's, so that a seed takes seconds.
const (
	cacheTTL       = 3 * time.Second // how long a gateway may trust a key
	attemptTimeout = time.Second
	settleWithin   = 60 * time.Second
)

var backoff = []time.Duration{0, 300 * time.Millisecond, 600 * time.Millisecond}

// world is all that a seed runs.
type world struct {
	seed      uint64
	kind      string // of Redis
	tb        *tb
	history   *history
	store     *store
	receiver  *harness.Receiver
	client    *http.Client
	procs     [processes]*proc
	orgs      []string
	keys      []*key
	unknown   atomic.Int64
	killedGW  atomic.Bool // a gateway ended in a way that may lose counts
	redisIll  atomic.Int64
	mu        sync.Mutex
	endpoints map[string]string
	outputs   map[string]string
}

// proc is a process that is started, killed and started again.
type proc struct {
	name   string
	site   string // URL of a gateway's site
	listen string // host:port of a dispatcher's status
	status int    // port of a gateway's status

	mu   sync.Mutex
	gw   *harness.Gateway
	logs []*harness.Gateway
}

func (p *proc) current() *harness.Gateway {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.gw
}

func (p *proc) set(g *harness.Gateway) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gw = g; g != nil {
		p.logs = append(p.logs, g)
	}
}

// dice is a source of choices.
type dice struct{ *rand.Rand }

func newDice(seed, stream uint64) *dice { return &dice{rand.New(rand.NewPCG(seed, stream))} }

func (d *dice) between(from, to time.Duration) time.Duration {
	return (from + time.Duration(d.Int64N(int64(to-from)))).Round(time.Millisecond)
}

func newWorld(ctx context.Context, seed uint64, kind string) *world {
	w := &world{seed: seed, kind: kind, history: newHistory(), endpoints: map[string]string{}}
	w.tb = &tb{ctx: ctx, history: w.history}
	if kind == "" {
		w.kind = []string{"single", "single", "single", "single", "single", "single", "single", "single", "sentinel", "cluster"}[seed%10]
	}
	return w
}

func (w *world) must(err error) {
	if err != nil && w.tb.ctx.Err() == nil {
		w.tb.Fatal(err)
	}
}

func (w *world) sleep(d time.Duration) { w.pause(w.tb.ctx, d) }

func (w *world) pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// run runs the seed: set-up, faults under load, healing, checks. It returns when everything has
// ended.
func (w *world) run() {
	var work sync.WaitGroup
	work.Go(func() {
		w.start()
		w.chaos()
		w.settle()
	})
	work.Wait()
	w.collect()
	w.tb.end()
	if w.tb.ctx.Err() == nil {
		w.check()
	}
}

func (w *world) start() {
	w.client = &http.Client{
		Timeout: 5 * time.Second,
		// A request over a kept connection may be sent twice, which would be counted twice.
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for i := range 4 {
		w.orgs = append(w.orgs, fmt.Sprintf("org-%d", i))
		w.endpoints[w.orgs[i]] = "good"
	}
	for i := range 10 {
		w.keys = append(w.keys, makeKey(w.orgs[i%len(w.orgs)]))
	}
	w.receiver = harness.NewReceiver(w.tb, harness.ReceiverOptions{Answer: w.answer, Forget: true})
	w.store = newStore(w, w.kind)
	harness.Eventually(w.tb, 10*time.Second, func() error { return w.store.rdb.Set(w.tb.ctx, "tenzo:schema", "1", 0).Err() })
	for _, k := range w.keys[:7] { // the others are made later
		w.create(k)
		k.created.Store(1)
	}
	for _, org := range w.orgs {
		w.setWebhook(org)
	}
	for i := range w.procs {
		p := &proc{name: processNames[i]}
		if i < gateways {
			p.site = "http://127.0.0.1:" + strconv.Itoa(harness.FreePort(w.tb))
			p.status = harness.FreePort(w.tb)
		} else {
			p.listen = harness.FreeAddr(w.tb)
		}
		w.procs[i] = p
		w.launch(i)
	}
	for i := range w.procs {
		w.procs[i].current().AwaitAnswer(w.ready(i))
	}
}

func (w *world) statusURL(i int) string {
	if p := w.procs[i]; i >= gateways {
		return "http://" + p.listen
	}
	return "http://127.0.0.1:" + strconv.Itoa(w.procs[i].status)
}

func (w *world) ready(i int) string { return w.statusURL(i) + "/readyz" }

// launch starts a process; it does not wait until it is ready, which it may not be while Redis is
// away.
func (w *world) launch(i int) {
	p := w.procs[i]
	env := []string{"TENZO_REDIS_URL=" + w.store.url(i)}
	if i < gateways {
		p.set(harness.StartGateway(w.tb, harness.GatewayOptions{Caddyfile: w.caddyfile(i), Env: env}))
		return
	}
	p.set(harness.StartGateway(w.tb, harness.GatewayOptions{Env: env, Args: []string{
		"dispatch", "--listen", p.listen, "--allow-networks", "127.0.0.0/8", "--ca-file", w.receiver.CAFile(),
		"--timeout", attemptTimeout.String(), "--retry-backoff", fmt.Sprintf("%v,%v,%v", backoff[0], backoff[1], backoff[2]),
	}}))
}

func (w *world) caddyfile(i int) string {
	webhooks := ""
	if i == 1 {
		webhooks = fmt.Sprintf(`webhooks {
			allow_networks 127.0.0.0/8
			ca_file %s
			timeout %v
			retry_backoff %v %v %v
			grace_period 5s
		}`, w.receiver.CAFile(), attemptTimeout, backoff[0], backoff[1], backoff[2])
	}
	return fmt.Sprintf(`{
	admin {$TENZO_TEST_ADMIN}
	grace_period 5s
	auto_https off
	tenzo {
		redis {env.TENZO_REDIS_URL}
		keys {
			cache_ttl %v
		}
		%s
	}
}
%s {
	bind 127.0.0.1
	tenzo_auth
	respond ok
}
http://:%d {
	bind 127.0.0.1
	tenzo_health
	metrics /metrics
}
`, cacheTTL, webhooks, w.procs[i].site, w.procs[i].status)
}

// chaos runs the load and the lanes of faults. Faults of one lane come one after the other; those
// of different lanes overlap.
func (w *world) chaos() {
	d := newDice(w.seed, 1)
	span := d.between(4*time.Second, 8*time.Second)
	w.history.note("schedule", "seed %d, Redis %s, faults for %v", w.seed, w.kind, span)
	ctx, cancel := context.WithTimeout(w.tb.ctx, span)
	defer cancel()
	var load, lanes sync.WaitGroup
	loadCtx, stopLoad := context.WithCancel(w.tb.ctx)
	defer stopLoad()
	for i := range gateways {
		for j := range 2 {
			dice := newDice(w.seed, uint64(100+10*i+j))
			load.Go(func() { w.ask(loadCtx, i, dice) })
		}
	}
	producer := newDice(w.seed, 200)
	load.Go(func() { w.produce(loadCtx, producer) })
	for i, lane := range []func(context.Context, *dice){w.redisLane, w.processLane, w.settingsLane, w.keysLane} {
		dice := newDice(w.seed, uint64(300+i))
		lanes.Go(func() { lane(ctx, dice) })
	}
	lanes.Wait()
	w.sleep(300 * time.Millisecond) // some load after the last fault
	stopLoad()
	load.Wait()
}

// calm is how long a lane rests between two faults. Every fourth seed rests longer, so that much of
// what happens there touches no fault, and is held to the exact rules.
func (w *world) calm(ctx context.Context, d *dice) {
	if w.seed%4 == 1 {
		w.pause(ctx, d.between(time.Second, 4*time.Second))
		return
	}
	w.pause(ctx, d.between(100*time.Millisecond, 1500*time.Millisecond))
}

func (w *world) redisLane(ctx context.Context, d *dice) {
	for w.calm(ctx, d); ctx.Err() == nil; w.calm(ctx, d) {
		s := w.store.faults[d.IntN(len(w.store.faults))](d)
		w.redisIll.Add(1)
		w.history.fault(s.name, s.run)
		w.redisIll.Add(-1)
	}
}

func (w *world) processLane(ctx context.Context, d *dice) {
	for w.calm(ctx, d); ctx.Err() == nil; w.calm(ctx, d) {
		s := w.processFault(d)
		w.history.fault(s.name, s.run)
	}
}

// processFault picks a process and what happens to it. Half of the seeds never kill a gateway, so
// that their counts must be exact.
func (w *world) processFault(d *dice) step {
	i := d.IntN(processes)
	p, name := w.procs[i], processNames[i]
	wait, frozen, far := d.between(0, time.Second), d.between(20*time.Millisecond, 2*time.Second), d.IntN(3) == 0
	if far {
		// Beyond the lease and the time to live of a key.
		frozen = d.between(6*time.Second, 8*time.Second)
	}
	roll := d.IntN(4)
	if roll == 0 && i < gateways && w.seed%2 == 0 {
		roll = 2
	}
	switch roll {
	case 0:
		return step{fmt.Sprintf("%s killed, started again after %v", name, wait), func() {
			if i < gateways {
				w.killedGW.Store(true)
			}
			p.current().Kill()
			p.set(nil)
			w.sleep(wait)
			w.launch(i)
		}}
	case 1:
		return step{fmt.Sprintf("%s stopped for %v", name, frozen), func() {
			g := p.current()
			g.Freeze()
			w.sleep(frozen)
			g.Thaw()
		}}
	case 2:
		if i < gateways {
			return step{name + " reloaded", func() {
				if err := p.current().Reload(""); err != nil {
					w.history.note("fault", "reload of %s: %v", name, err) // it waits for Redis
				}
			}}
		}
	}
	return step{fmt.Sprintf("%s ended in an orderly way, started again after %v", name, wait), func() {
		g := p.current()
		if i < gateways && w.redisIll.Load() > 0 {
			w.killedGW.Store(true) // a stop in the middle of an outage loses counts
		}
		p.set(nil)
		g.Terminate()
		g.Wait(45 * time.Second)
		if i < gateways && w.redisIll.Load() > 0 {
			w.killedGW.Store(true)
		}
		w.sleep(wait)
		w.launch(i)
	}}
}

// settingsLane turns endpoints, rotates secrets and replays dead events.
func (w *world) settingsLane(ctx context.Context, d *dice) {
	for w.pause(ctx, d.between(50*time.Millisecond, 500*time.Millisecond)); ctx.Err() == nil; w.pause(ctx, d.between(50*time.Millisecond, 500*time.Millisecond)) {
		org := w.orgs[d.IntN(len(w.orgs))]
		switch d.IntN(5) {
		case 0:
			w.setWebhook(org)
		case 1:
			if w.seed%3 == 0 { // the others show that retries are not early
				_ = w.replay() // in the history; the last replay counts
			}
		default:
			w.turn(org, modes[d.IntN(len(modes))])
		}
	}
}

func (w *world) turn(org, mode string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.endpoints[org] = mode
	w.history.note("admin", "endpoint of %s is %s", org, mode)
}

// keysLane makes and revokes keys. Keys 0 to 3 stay good to the end.
func (w *world) keysLane(ctx context.Context, d *dice) {
	late, doomed := w.keys[7:], append([]*key(nil), w.keys[4:7]...)
	for w.pause(ctx, d.between(200*time.Millisecond, 1500*time.Millisecond)); ctx.Err() == nil; w.pause(ctx, d.between(200*time.Millisecond, 1500*time.Millisecond)) {
		if len(doomed) > 0 && d.IntN(3) > 0 {
			if w.revoke(doomed[0], d.IntN(2) == 0) {
				doomed = doomed[1:]
			}
		} else if len(late) > 0 {
			w.create(late[0])
			late = late[1:]
		}
	}
}

// settle heals everything and waits until nothing is left to do.
func (w *world) settle() {
	w.history.note("schedule", "all healed")
	for _, org := range w.orgs {
		w.turn(org, "good")
	}
	for i := range w.procs {
		if w.procs[i].current() == nil {
			w.launch(i)
		}
		w.procs[i].current().AwaitAnswer(w.ready(i))
	}
	w.awaitFinished()
	deadline := w.history.now() + settleWithin
	for w.deadAgain() {
		if w.history.now() > deadline {
			w.history.violate("settling", "", "dead events are still there %v after all was healed", settleWithin)
			break
		}
		if err := w.replay(); err != nil {
			w.sleep(200 * time.Millisecond)
		}
		w.awaitFinished()
	}
	w.goodKeysPass()
	w.checkBooks()
	w.checkUsage()
}

// awaitFinished waits until no event is left in the stream.
func (w *world) awaitFinished() {
	err := harness.Poll(settleWithin, func() error {
		n, err := w.store.rdb.XLen(w.tb.ctx, "tenzo:events").Result()
		if err == nil && n > 0 {
			err = fmt.Errorf("%d events wait", n)
		}
		return err
	})
	if err != nil && w.tb.ctx.Err() == nil {
		w.history.violate("settling", "", "not finished %v after all was healed: %v", settleWithin, err)
	}
}

// deadEvents lists the dead events through the admin API.
func (w *world) deadEvents() (map[string]string, error) {
	reasons := map[string]string{}
	for cursor := ""; ; {
		text, err := w.admin(http.MethodGet, "/tenzo/dead-letters?limit=1000&cursor="+cursor, nil)
		if err != nil {
			return nil, err
		}
		var page struct {
			Items []struct {
				ID, Reason string
				OrgID      string `json:"org_id"`
			}
			NextCursor *string `json:"next_cursor"`
		}
		if err := json.Unmarshal(text, &page); err != nil {
			return nil, err
		}
		for _, item := range page.Items {
			reasons[item.OrgID+" "+item.ID] = item.Reason
		}
		if page.NextCursor == nil {
			return reasons, nil
		}
		cursor = *page.NextCursor
	}
}

// deadAgain says whether events are dead that can be delivered.
func (w *world) deadAgain() bool {
	var dead map[string]string
	harness.Eventually(w.tb, 20*time.Second, func() (err error) {
		dead, err = w.deadEvents()
		return err
	})
	for name := range dead {
		w.history.mu.Lock()
		e := w.history.events[name]
		w.history.mu.Unlock()
		if e != nil && e.invalid == "" {
			return true
		}
	}
	return false
}

// goodKeysPass waits until every key that was not revoked passes every gateway.
func (w *world) goodKeysPass() {
	for gateway := range gateways {
		for _, k := range w.keys {
			if k.created.Load() == 0 || k.revoking.Load() != 0 {
				continue
			}
			if err := harness.Poll(15*time.Second, func() error {
				if r := w.request(gateway, k); r.status != 200 {
					return fmt.Errorf("answered %d %s", r.status, r.code)
				}
				return nil
			}); err != nil {
				w.history.violate("no good key refused", k.id, "after all was healed, key %s is refused by gateway %d: %v", k, gateway, err)
			}
		}
	}
}

func (w *world) books() (b struct {
	Published, Replayed, Delivered, Skipped, Dead, Duplicate, Waiting, Difference int64
}, err error,
) {
	r := harness.RunGateway(w.tb, []string{"TENZO_REDIS_URL=" + w.store.url(0)}, "", "events", "status", "--json")
	if r.Stdout == "" {
		return b, errors.New(r.Stderr)
	}
	return b, json.Unmarshal([]byte(r.Stdout), &b)
}

// summary says in a few words what a seed did.
func (w *world) summary() string {
	w.history.mu.Lock()
	defer w.history.mu.Unlock()
	revoked, exact := 0, "exact"
	for _, k := range w.keys {
		if k.revoked.Load() != 0 {
			revoked++
		}
	}
	if w.killedGW.Load() {
		exact = "bounded"
	}
	return fmt.Sprintf("%s: %d faults, %d events, %d attempts, %d requests, %d revocations, usage %s", w.kind, len(w.history.faults),
		len(w.history.events), len(w.history.attempts), len(w.history.requests), revoked, exact)
}

// collect keeps the logs before the processes end.
func (w *world) collect() {
	w.outputs = map[string]string{}
	for _, p := range w.procs {
		if p == nil {
			continue
		}
		for i, g := range p.logs {
			w.outputs[fmt.Sprintf("%s.%d.log", p.name, i)] = g.Log().String()
		}
	}
}

func (w *world) logs() map[string]string { return w.outputs }

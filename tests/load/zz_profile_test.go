package load

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"runtime/pprof"
	"syscall"
	"testing"
	"time"

	"github.com/tenzo-ai/tenzo-gateway/config/changes"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher"
	"github.com/tenzo-ai/tenzo-gateway/tests/harness"
)

func init() {
	if os.Getenv("ZZ_PROFILE") == "" {
		return
	}
	u, err := store.ResolveURL(os.Getenv("TENZO_REDIS_URL"))
	if err != nil {
		panic(err)
	}
	rm := store.NewMetrics()
	l := slog.New(slog.NewTextHandler(os.Stderr, nil))
	st, err := store.Open(store.Options{URL: u, Logger: l, Observer: rm})
	if err != nil {
		panic(err)
	}
	o := dispatcher.Defaults()
	o.AllowNetworks = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	o.CAFile = os.Getenv("ZZ_CA")
	o.Logger = l
	f := changes.New(st, l)
	d, err := dispatcher.New(st, f, o)
	if err != nil {
		panic(err)
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	bg, cancel := context.WithCancel(context.Background())
	go f.Run(bg)
	go store.NewMonitor(st, l).Run(bg)
	out, _ := os.Create(os.Getenv("ZZ_PROFILE"))
	pprof.StartCPUProfile(out)
	d.Run(ctx)
	pprof.StopCPUProfile()
	out.Close()
	stop()
	cancel()
	os.Exit(0)
}

func BenchmarkZZ(b *testing.B) {
	events, orgs := number("TENZO_LOAD_EVENTS", 50000), number("ZZ_ORGS", 10)
	for b.Loop() {
		s := newSite(b, orgs)
		s.fill("tenzo:events", events, orgs)
		self, _ := os.Executable()
		before := cpu(b, s.redis.Process().PID())
		p := harness.Start(b, harness.Command{Name: "d", Path: self, Env: []string{"ZZ_PROFILE=/tmp/p/d.cpu", "ZZ_CA=" + s.recv.ca.File(), "TENZO_REDIS_URL=" + s.redis.URL()}})
		first, last := s.recv.await(b, events, 5*time.Minute)
		s.finished("tenzo:events", time.Minute)
		used := cpu(b, p.PID())
		b.Logf("%.0f/s, own %d, redis %d µs/event", float64(events)/last.Sub(first).Seconds(), used.Microseconds()/int64(events), (cpu(b, s.redis.Process().PID())-before).Microseconds()/int64(events))
		info, _ := s.rdb.Info(b.Context(), "commandstats").Result()
		os.WriteFile("/tmp/p/stats", []byte(info), 0o644)
		fmt.Println(p.Log().Tail(2000))
		end(b, p)
	}
}

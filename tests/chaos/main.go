// Command chaos runs the built tenzo-gateway under random faults and checks what clients, receivers
// and Redis saw:
//
//	go run ./tests/chaos -seeds 1-100
//
// Each seed is a schedule of its own: which Redis (single, Sentinel, Cluster), which faults, when,
// for how long. README.md describes the faults and the checks. The exit status is 1 where a seed
// violated a check.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// options are the flags.
type options struct {
	first, last uint64
	out         string // folder for the histories of failed seeds
	topology    string // instead of the seed's own choice
	keep        bool   // writes the history of every seed
	parallel    int    // how many seeds run at a time
}

func main() {
	var o options
	seeds := flag.String("seeds", "1-20", "a seed, or a range of seeds")
	flag.StringVar(&o.out, "out", filepath.Join(os.TempDir(), "tenzo-chaos"), "folder for histories and logs of failed seeds")
	flag.StringVar(&o.topology, "redis", "", "single, sentinel or cluster instead of the seed's choice")
	flag.BoolVar(&o.keep, "keep", false, "write history and logs of every seed")
	flag.IntVar(&o.parallel, "parallel", 1, "how many seeds run at a time")
	flag.Parse()
	redis.SetLogger(quiet{}) // it would report each fault
	var err error
	if o.first, o.last, err = parseSeeds(*seeds); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	failed, ran := runSeeds(ctx, o)
	stop()
	fmt.Printf("%d seeds, %d failed\n", ran, failed)
	if failed > 0 || ran == 0 {
		os.Exit(1)
	}
}

func parseSeeds(text string) (first, last uint64, err error) {
	from, to, isRange := strings.Cut(text, "-")
	if first, err = strconv.ParseUint(from, 10, 64); err == nil {
		last = first
		if isRange {
			last, err = strconv.ParseUint(to, 10, 64)
		}
	}
	if err != nil || last < first {
		return 0, 0, fmt.Errorf("invalid -seeds %q: must be a number or a range such as 1-100", text)
	}
	return first, last, nil
}

// quiet drops what go-redis logs.
type quiet struct{}

func (quiet) Printf(context.Context, string, ...any) {}

// runSeeds runs the seeds until the context ends, and prints a line for each.
func runSeeds(ctx context.Context, o options) (failed, ran int) {
	var mu sync.Mutex
	next := o.first
	take := func() (uint64, bool) {
		mu.Lock()
		defer mu.Unlock()
		next++
		return next - 1, next-1 <= o.last && ctx.Err() == nil
	}
	var work sync.WaitGroup
	for range max(1, o.parallel) {
		work.Go(func() {
			for seed, ok := take(); ok; seed, ok = take() {
				start := time.Now()
				w := newWorld(ctx, seed, o.topology)
				w.run()
				mu.Lock()
				if ctx.Err() == nil { // else interrupted, which says nothing of the program
					ran++
					if !w.tell(o, time.Since(start).Round(100*time.Millisecond)) {
						failed++
					}
				}
				mu.Unlock()
			}
		})
	}
	work.Wait()
	return failed, ran
}

// tell prints how the seed went, and says whether all checks passed.
func (w *world) tell(o options, took time.Duration) bool {
	violations := w.history.violations()
	if len(violations) == 0 {
		fmt.Printf("seed %d ok %v %s\n", w.seed, took, w.summary())
		if o.keep {
			report(w, o.out)
		}
		return true
	}
	fmt.Printf("seed %d FAILED %v %s\n", w.seed, took, w.summary())
	for _, v := range violations {
		fmt.Printf("    %s\n", strings.ReplaceAll(v.String(), "\n", "\n    "))
	}
	fmt.Printf("    history and logs: %s\n    again: go run ./tests/chaos -seeds %d\n", report(w, o.out), w.seed)
	return false
}

// report writes the history and the logs of a seed and returns the folder.
func report(w *world, out string) string {
	dir := filepath.Join(out, fmt.Sprintf("seed-%d", w.seed))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err.Error()
	}
	files := w.logs()
	files["history.txt"] = w.history.String()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err.Error()
		}
	}
	return dir
}

package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/spf13/cobra"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/health"
	"github.com/tenzo-ai/tenzo-gateway/config/changes"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher"
)

func dispatchCommand(version string) Command {
	return Command{
		Name:  "dispatch",
		Usage: "[--listen localhost:2020] [options of webhooks]",
		Short: "Delivers webhooks, as a companion process without a Caddyfile",
		Long: `Delivers webhooks until it receives SIGTERM or SIGINT. Then it dequeues nothing new, finishes the deliveries
in flight within --grace-period, and requeues the rest. Several processes, gateways with a webhooks block
included, may run at the same time and share the work. The flags are the options of the block webhooks in
a Caddyfile. --listen serves /metrics, /livez and /readyz.`,
		Setup: func(cmd *cobra.Command) {
			f := new(storeFlags)
			f.registerStore(cmd)
			d := newDispatchFlags(cmd)
			cmd.Args = cobra.NoArgs
			cmd.RunE = func(cmd *cobra.Command, _ []string) error {
				options, err := d.options()
				if err != nil {
					return err
				}
				options.Version = version
				options.Logger = newLogger(cmd.ErrOrStderr())
				ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, os.Interrupt)
				defer stop()
				context.AfterFunc(ctx, stop) // a second signal kills the process
				return dispatch(ctx, f, options, d.listen)
			}
		},
	}
}

// dispatchFlags are the options of the block `webhooks` as flags.
type dispatchFlags struct {
	listen      string
	o           dispatcher.Options // the defaults, which flags override
	policy      policyFlags
	backoff     durationsFlag
	timeout     durationFlag
	retention   durationFlag
	grace       durationFlag
	bytes       sizeFlag
	payload     sizeFlag
	passMembers []string
}

func newDispatchFlags(cmd *cobra.Command) *dispatchFlags {
	o := dispatcher.Defaults()
	d := &dispatchFlags{
		o: o, backoff: o.RetryBackoff, timeout: durationFlag(o.Timeout), retention: durationFlag(o.DeadRetention),
		grace: durationFlag(o.GracePeriod), bytes: sizeFlag(o.MaxInFlightBytes), payload: sizeFlag(o.MaxPayload),
	}
	flags := cmd.Flags()
	flags.StringVar(&d.listen, "listen", "localhost:2020", "`address` of /metrics, /livez and /readyz")
	flags.Var(&d.backoff, "retry-backoff", "least delay of each retry after the failure before it; at most three")
	flags.Var(&d.timeout, "timeout", "how long one attempt may take")
	flags.IntVar(&d.o.EndpointConcurrency, "endpoint-concurrency", o.EndpointConcurrency, "how many attempts to one organization's endpoint may be in flight")
	flags.IntVar(&d.o.MaxInFlight, "max-in-flight", o.MaxInFlight, "how many events are held in memory")
	flags.Var(&d.bytes, "max-in-flight-bytes", "how many bytes of payload are held in memory")
	flags.Var(&d.payload, "max-payload", "how large a payload may be as published")
	flags.Var(&d.retention, "dead-retention", "how long dead letters are kept")
	flags.IntVar(&d.o.DeadLimit, "dead-limit", o.DeadLimit, "how many dead letters are kept; the oldest are dropped first")
	flags.StringArrayVar(&d.passMembers, "pass-members", nil, "further members of payloads that may leave, as `event=path,path`; repeatable")
	flags.StringArrayVar(&d.o.PassEvents, "pass-event", nil, "a further `event`, whose payload leaves as published; repeatable")
	flags.Var(&d.grace, "grace-period", "how long a shutdown waits for deliveries in flight")
	d.policy.register(cmd)
	return d
}

// options returns the dispatcher's options from the flags.
func (d *dispatchFlags) options() (dispatcher.Options, error) {
	o := d.o
	o.RetryBackoff, o.Timeout, o.DeadRetention, o.GracePeriod = d.backoff, time.Duration(d.timeout), time.Duration(d.retention), time.Duration(d.grace)
	o.MaxInFlightBytes, o.MaxPayload = int64(d.bytes), int(d.payload)
	o.AllowHTTP, o.CAFile = d.policy.allowHTTP, d.policy.caFile
	var err error
	if o.AllowNetworks, err = d.policy.networks(); err != nil {
		return o, err
	}
	for _, s := range d.passMembers {
		event, paths, found := strings.Cut(s, "=")
		if !found || event == "" || paths == "" {
			return o, fmt.Errorf("--pass-members: invalid value %q: must be event=path,path, such as note.finalized=meeting.location", s)
		}
		if o.PassMembers == nil {
			o.PassMembers = map[string][]string{}
		}
		o.PassMembers[event] = append(o.PassMembers[event], strings.Split(paths, ",")...)
	}
	return o, o.Validate()
}

// dispatch delivers until ctx is done. It returns when everything it started has ended.
func dispatch(ctx context.Context, f *storeFlags, o dispatcher.Options, listen string) error {
	setMemoryLimit(o.Logger)
	redisMetrics := store.NewMetrics()
	o.Metrics = dispatcher.NewMetrics()
	st, err := f.open(redisMetrics)
	if err != nil {
		return err
	}
	defer st.Close()
	monitor := store.NewMonitor(st, o.Logger)
	follower := changes.New(st, o.Logger)
	d, err := dispatcher.New(st, follower, o)
	if err != nil {
		return err
	}

	registry := prometheus.NewPedanticRegistry()
	all := []prometheus.Collector{collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collectors.NewBuildInfoCollector()}
	for _, c := range append(append(all, redisMetrics.Collectors()...), o.Metrics.Collectors()...) {
		if err := registry.Register(c); err != nil {
			return err
		}
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	server := serveStatus(listener, registry, func() health.Report { return report(ctx, d, monitor) }, o.Logger)

	// The dispatcher ends before monitor and follower, because it still needs them.
	background, cancel := context.WithCancel(context.Background())
	var loops sync.WaitGroup
	for _, loop := range []func(context.Context){monitor.Run, follower.Run} {
		loops.Go(func() { loop(background) })
	}
	o.Logger.Info("delivering webhooks", "version", o.Version, "redis", st.Addr(), "listen", listener.Addr().String())
	d.Run(ctx) // shuts down gracefully when ctx is done
	o.Logger.Info("stopped delivering webhooks")
	cancel()
	loops.Wait()
	return server.close()
}

// report is what /readyz says about the process.
func report(ctx context.Context, d *dispatcher.Dispatcher, m *store.Monitor) health.Report {
	if ctx.Err() != nil {
		return health.Report{Problems: map[string]string{"process": "is shutting down"}}
	}
	ready := d.Ready()
	report := health.Report{Ready: ready.OK, Problems: ready.Problems}
	if s := m.State(); s.Up && s.Err != nil && report.Problems["redis"] == "" {
		// The dispatcher itself may not notice: its lease can be renewed on a full Redis.
		report = health.Join(report, health.Report{Ready: true, Problems: map[string]string{"redis": store.Problem(s.Err)}})
	}
	return report
}

// statusServer serves metrics and health.
type statusServer struct {
	http *http.Server
	done chan error // receives the error of Serve
}

func serveStatus(l net.Listener, registry *prometheus.Registry, report func() health.Report, logger *slog.Logger) *statusServer {
	metrics := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	s := &statusServer{done: make(chan error, 1), http: &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch {
			case r.URL.Path == "/metrics":
				metrics.ServeHTTP(w, r)
			case health.Serve(w, r, report):
			default:
				http.NotFound(w, r)
			}
		}),
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}}
	go func() { s.done <- s.http.Serve(l) }()
	return s
}

// close ends the server and waits for it. A scrape in flight has one second to finish.
func (s *statusServer) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	if served := <-s.done; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}

// newLogger returns a logger that writes JSON lines, or text on a terminal.
func newLogger(w io.Writer) *slog.Logger {
	if isTerminal(w) {
		return slog.New(slog.NewTextHandler(w, nil))
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{ReplaceAttr: durationsInSeconds}))
}

// durationsInSeconds writes durations in seconds, like the gateway's log; slog would write
// nanoseconds.
func durationsInSeconds(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() == slog.KindDuration {
		a.Value = slog.Float64Value(a.Value.Duration().Seconds())
	}
	return a
}

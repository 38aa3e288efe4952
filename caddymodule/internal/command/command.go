// Package command contains the commands that tenzo-gateway adds to Caddy's own (specification.md,
// section 9): init, keys, webhook, events and dispatch. They are thin layers over the services of
// package config and the dispatcher, and do not know Caddy; package caddymodule registers them.
//
// Results go to standard output, as a table or, with --json, as one JSON object. Remarks, progress
// and errors go to standard error. Secrets come from files, standard input or the environment,
// never as a value that a process list shows.
package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/config/problem"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// Command is one command to register.
type Command struct {
	Name  string
	Usage string // arguments and flags, after the name
	Short string
	Long  string
	Setup func(*cobra.Command) // adds flags, subcommands and the function to run
}

// All returns the commands. version is the program's, for the User-Agent of deliveries.
func All(version string) []Command {
	return []Command{
		initCommand(),
		keysCommand(),
		webhookCommand(version),
		eventsCommand(),
		dispatchCommand(version),
	}
}

// storeFlags are the flags of every command; `dispatch` has no --json.
type storeFlags struct {
	redis  string
	prefix string
	json   bool
}

func (f *storeFlags) register(cmd *cobra.Command) {
	f.registerStore(cmd)
	cmd.PersistentFlags().BoolVar(&f.json, "json", false, "print one JSON object")
}

func (f *storeFlags) registerStore(cmd *cobra.Command) {
	flags := cmd.PersistentFlags()
	flags.StringVar(&f.redis, "redis", "", "`URL` of the Redis, or @file with the URL; a URL with a password only as @file or in the environment (default $TENZO_REDIS_URL, else the address of the embedded server)")
	flags.StringVar(&f.prefix, "key-prefix", store.DefaultPrefix, "prefix of every key in Redis")
}

// commandTimeout bounds how long a command waits for Redis, separately for each page of a long
// list.
const commandTimeout = 10 * time.Second

// open opens the store that the flags select. It dials nothing.
func (f *storeFlags) open(metrics *store.Metrics) (*store.Store, error) {
	if store.LiteralPassword(f.redis) {
		return nil, errors.New("the password in --redis would show in every process list: put the URL into a file and use --redis @file, or into TENZO_REDIS_URL")
	}
	url, err := store.ResolveURL(f.redis)
	if err != nil {
		return nil, err
	}
	if !store.ValidPrefix(f.prefix) {
		return nil, errors.New("--key-prefix must not be empty and must not contain braces or spaces")
	}
	return store.Open(store.Options{URL: url, Prefix: f.prefix, Metrics: metrics})
}

// withStore calls run with an open store. Output that could not be written is an error, too.
func (f *storeFlags) withStore(cmd *cobra.Command, run func(ctx context.Context, st *store.Store) error) error {
	st, err := f.open(nil)
	if err != nil {
		return err
	}
	out := watchOutput(cmd)
	if err = run(cmd.Context(), st); err == nil && out.err != nil {
		err = fmt.Errorf("writing to standard output: %w", out.err)
	}
	if closeErr := st.Close(); err == nil {
		err = closeErr
	}
	return f.explain(st, err)
}

// explain adds the address of the Redis to a timeout. Refusals by a rule stay as they are.
func (f *storeFlags) explain(st *store.Store, err error) error {
	var refused *problem.Error
	switch {
	case err == nil, errors.As(err, &refused), errors.Is(err, errFailed):
		return err
	// The timeout of this package or of the client.
	case errors.Is(err, context.DeadlineExceeded), os.IsTimeout(err):
		return fmt.Errorf("redis at %s does not answer: %w", st.Addr(), err)
	}
	return err
}

// call runs f within commandTimeout.
func call[T any](ctx context.Context, f func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	return f(ctx)
}

// errFailed makes the exit status 1 if the command has already said what is wrong.
var errFailed = errors.New("failed")

// group makes cmd a parent of subcommands. Any other argument is an error; cobra alone would print
// the help and exit with 0.
func group(cmd *cobra.Command, subcommands ...*cobra.Command) {
	names := make([]string, len(subcommands))
	for i, sub := range subcommands {
		names[i] = sub.Name()
	}
	choice := strings.Join(names, ", ")
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("unknown subcommand %q of %s: choose one of %s", args[0], cmd.CommandPath(), choice)
		}
		return fmt.Errorf("%s needs a subcommand: %s", cmd.CommandPath(), choice)
	}
	cmd.AddCommand(subcommands...)
}

// orgFlag adds the required flag --org.
func orgFlag(cmd *cobra.Command, org *string) {
	cmd.Flags().StringVar(org, "org", "", "`id` of the organization (required)")
	_ = cmd.MarkFlagRequired("org") // the flag exists
}

// checkOrg validates an organization's id before Redis is contacted.
func checkOrg(org string) error {
	if err := config.CheckOrg(org); err != nil {
		return fmt.Errorf("--org: %w", err)
	}
	return nil
}

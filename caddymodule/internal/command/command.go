// Package command is the commands of tenzo-gateway beside Caddy's own (specification.md, section 9): init, keys, webhook, events and dispatch. They
// are thin faces over the services of package config and the dispatcher, and know no Caddy; package caddymodule registers them.
//
// What a command has to say goes to standard output, as a table or, with --json, as one JSON object; remarks, progress and errors go to
// standard error. Secrets come from files, standard input or the environment, never as a value that a process list shows.
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
	Usage string // what follows the name
	Short string
	Long  string
	Setup func(*cobra.Command) // adds flags, subcommands and what runs
}

// All returns the commands. version is that of the program, for the User-Agent of deliveries.
func All(version string) []Command {
	return []Command{
		initCommand(),
		keysCommand(),
		webhookCommand(version),
		eventsCommand(),
		dispatchCommand(version),
	}
}

// storeFlags are the flags that every command has.
type storeFlags struct {
	redis  string
	prefix string
	json   bool
}

func (f *storeFlags) register(cmd *cobra.Command) {
	flags := cmd.PersistentFlags()
	flags.StringVar(&f.redis, "redis", "", "`URL` of the Redis, or @file that holds it; with a password only @file or the environment (default $TENZO_REDIS_URL, else the embedded server's address)")
	flags.StringVar(&f.prefix, "key-prefix", store.DefaultPrefix, "what every key in Redis begins with")
	flags.BoolVar(&f.json, "json", false, "print one JSON object")
}

// commandTimeout bounds the time a command waits for Redis, each page of a long list anew.
const commandTimeout = 10 * time.Second

// open opens the store that the flags name. It dials nothing.
func (f *storeFlags) open(metrics *store.Metrics) (*store.Store, error) {
	if store.LiteralPassword(f.redis) {
		return nil, errors.New("--redis holds a password, which every process list would show: put the URL into a file and say --redis @file, or into TENZO_REDIS_URL")
	}
	url, err := store.ResolveURL(f.redis)
	if err != nil {
		return nil, err
	}
	if !store.ValidPrefix(f.prefix) {
		return nil, errors.New("--key-prefix must not be empty and must hold neither braces nor spaces")
	}
	return store.Open(store.Options{URL: url, Prefix: f.prefix, Metrics: metrics})
}

// withStore runs f with an open store. What was not printed is an error, too.
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

// explain says of an error that is no refusal by a rule which Redis it came from.
func (f *storeFlags) explain(st *store.Store, err error) error {
	var refused *problem.Error
	switch {
	case err == nil, errors.As(err, &refused), errors.Is(err, errFailed):
		return err
	case errors.Is(err, context.DeadlineExceeded), os.IsTimeout(err): // this code's limit, or the client's
		return fmt.Errorf("redis at %s gives no answer: %w", st.Addr(), err)
	}
	return err
}

// call runs one step against Redis within commandTimeout.
func call[T any](ctx context.Context, f func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	return f(ctx)
}

// errFailed makes the exit status 1 where a command has said already what is wrong.
var errFailed = errors.New("failed")

// group makes cmd one that only has subcommands: anything else is refused, where cobra would show the help and report success.
func group(cmd *cobra.Command, subcommands ...*cobra.Command) {
	names := make([]string, len(subcommands))
	for i, sub := range subcommands {
		names[i] = sub.Name()
	}
	choice := strings.Join(names, ", ")
	cmd.Args = cobra.ArbitraryArgs
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) > 0 {
			return fmt.Errorf("%s has no subcommand %q: there are %s", cmd.CommandPath(), args[0], choice)
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

// checkOrg refuses what is no organization's id before Redis is asked.
func checkOrg(org string) error {
	if err := config.CheckOrg(org); err != nil {
		return fmt.Errorf("--org: %w", err)
	}
	return nil
}

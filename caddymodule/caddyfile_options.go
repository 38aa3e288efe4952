package caddymodule

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tenzo-ai/tenzo-gateway/config"
	"github.com/tenzo-ai/tenzo-gateway/dispatcher"
)

// subdirective is one line that may stand in a block of the Caddyfile.
type subdirective struct {
	name   string
	min    int // how many arguments it takes, at least
	max    int // and at most; many for any number
	repeat bool
	set    func(args []string) error          // gets the arguments
	block  func(d *caddyfile.Dispenser) error // or parses a block of its own
}

// many is the max of an option that takes any number of arguments.
const many = 1 << 20

// parseBlock parses the block of what, in which options may stand, each once unless it repeats. What is not among them, stands twice or
// has a wrong number of arguments is an error that says what is allowed.
func parseBlock(d *caddyfile.Dispenser, what string, options []subdirective) error {
	seen := map[string]bool{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		s, ok := find(options, name)
		if !ok {
			return d.Errf("%s has no option '%s': %s", what, name, allowed(options))
		}
		if seen[name] && !s.repeat {
			return d.Errf("the option '%s' of %s stands twice", name, what)
		}
		seen[name] = true
		if s.block != nil {
			if d.NextArg() {
				return d.Errf("the option '%s' of %s takes a block and no arguments", name, what)
			}
			if err := s.block(d); err != nil {
				return err
			}
			continue
		}
		args := d.RemainingArgs()
		if len(args) < s.min || len(args) > s.max {
			return d.Errf("the option '%s' of %s takes %s, not %d", name, what, s.arity(), len(args))
		}
		if err := s.set(args); err != nil {
			return d.Errf("the option '%s' of %s: %v", name, what, err)
		}
	}
	return nil
}

func find(options []subdirective, name string) (subdirective, bool) {
	for _, s := range options {
		if s.name == name {
			return s, true
		}
	}
	return subdirective{}, false
}

// allowed is the sentence that names the options.
func allowed(options []subdirective) string {
	if len(options) == 0 {
		return "it has no options"
	}
	names := make([]string, len(options))
	for i, s := range options {
		names[i] = s.name
	}
	return "its options are " + strings.Join(names, ", ")
}

func (s subdirective) arity() string {
	switch {
	case s.max == 0:
		return "no arguments"
	case s.max == many:
		return fmt.Sprintf("at least %d arguments", s.min)
	case s.min == s.max && s.min == 1:
		return "one argument"
	case s.min == s.max:
		return fmt.Sprintf("%d arguments", s.min)
	}
	return fmt.Sprintf("%d to %d arguments", s.min, s.max)
}

// The setters below make options of one value; each refuses what cannot be read.

func text(name string, into *string) subdirective {
	return subdirective{name: name, min: 1, max: 1, set: func(args []string) error { *into = args[0]; return nil }}
}

func flag(name string, into *bool) subdirective {
	return subdirective{name: name, set: func([]string) error { *into = true; return nil }}
}

func texts(name string, into *[]string) subdirective {
	return subdirective{name: name, min: 1, max: many, set: func(args []string) error { *into = args; return nil }}
}

// count reads a number above zero.
func count(name string, into *int) subdirective {
	return subdirective{name: name, min: 1, max: 1, set: func(args []string) error {
		n, err := strconv.Atoi(args[0])
		if err != nil || n < 1 {
			return fmt.Errorf("'%s' is no whole number above 0", args[0])
		}
		*into = n
		return nil
	}}
}

// span reads a time span above zero.
func span(name string, into *caddy.Duration) subdirective {
	return subdirective{name: name, min: 1, max: 1, set: func(args []string) error {
		v, err := config.ParseDuration(args[0])
		if err != nil {
			return err
		}
		if v == 0 {
			return fmt.Errorf("%q is no time span above 0", args[0])
		}
		*into = caddy.Duration(v)
		return nil
	}}
}

// size reads a number of bytes above zero, such as 1MiB.
func size(name string, into *int64) subdirective {
	return subdirective{name: name, min: 1, max: 1, set: func(args []string) (err error) {
		*into, err = dispatcher.ParseSize(args[0])
		return err
	}}
}

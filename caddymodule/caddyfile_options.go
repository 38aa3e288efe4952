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

// subdirective is one line that a block of the Caddyfile may contain.
type subdirective struct {
	name   string
	min    int // number of arguments
	max    int // unlimited: many
	repeat bool
	set    func(args []string) error          // takes the arguments, or
	block  func(d *caddyfile.Dispenser) error // parses a nested block
}

// many is the max of a subdirective that takes any number of arguments.
const many = 1 << 20

// parseBlock parses the block of a directive or option named what. Each subdirective may occur
// once, unless it repeats. An unknown or duplicate one, or a wrong number of arguments, is an error
// that says what is allowed.
func parseBlock(d *caddyfile.Dispenser, what string, known []subdirective) error {
	firstLine := map[string]int{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		s, ok := find(known, name)
		if !ok {
			return d.Errf("unknown option '%s' in %s: %s", name, what, allowed(known))
		}
		if line, ok := firstLine[name]; ok && !s.repeat {
			return d.Errf("duplicate option '%s' in %s: first set on line %d", name, what, line)
		}
		firstLine[name] = d.Line()
		if s.block != nil {
			if d.NextArg() {
				return d.Errf("option '%s' in %s takes a block and no arguments", name, what)
			}
			if err := s.block(d); err != nil {
				return err
			}
			continue
		}
		args := d.RemainingArgs()
		if len(args) < s.min || len(args) > s.max {
			return d.Errf("option '%s' in %s takes %s, not %d", name, what, s.arity(), len(args))
		}
		if err := s.set(args); err != nil {
			return d.Errf("option '%s' in %s: %v", name, what, err)
		}
	}
	return nil
}

func find(known []subdirective, name string) (subdirective, bool) {
	for _, s := range known {
		if s.name == name {
			return s, true
		}
	}
	return subdirective{}, false
}

// allowed lists the subdirectives that a block may contain.
func allowed(known []subdirective) string {
	if len(known) == 0 {
		return "it has no options"
	}
	names := make([]string, len(known))
	for i, s := range known {
		names[i] = s.name
	}
	return "allowed are " + strings.Join(names, ", ")
}

// arity says how many arguments s takes.
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

// The functions below create subdirectives that set one value. Their setters return an error for
// an invalid value.

func text(name string, into *string) subdirective {
	return subdirective{name: name, min: 1, max: 1, set: func(args []string) error { *into = args[0]; return nil }}
}

func flag(name string, into *bool) subdirective {
	return subdirective{name: name, set: func([]string) error { *into = true; return nil }}
}

func texts(name string, into *[]string) subdirective {
	return subdirective{name: name, min: 1, max: many, set: func(args []string) error { *into = args; return nil }}
}

// count parses a positive whole number.
func count(name string, into *int) subdirective {
	return subdirective{name: name, min: 1, max: 1, set: func(args []string) error {
		n, err := strconv.Atoi(args[0])
		if err != nil || n < 1 {
			return fmt.Errorf("invalid number %q: must be a positive whole number", args[0])
		}
		*into = n
		return nil
	}}
}

// duration parses a positive duration.
func duration(name string, into *caddy.Duration) subdirective {
	return subdirective{name: name, min: 1, max: 1, set: func(args []string) error {
		v, err := config.ParseDuration(args[0])
		if err != nil {
			return err
		}
		if v == 0 {
			return fmt.Errorf("invalid duration %q: must be positive, such as 500ms, 35s or 30d", args[0])
		}
		*into = caddy.Duration(v)
		return nil
	}}
}

// size parses a positive number of bytes, such as 1MiB.
func size(name string, into *int64) subdirective {
	return subdirective{name: name, min: 1, max: 1, set: func(args []string) (err error) {
		*into, err = dispatcher.ParseSize(args[0])
		return err
	}}
}

package caddymodule

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/tenzo-ai/tenzo-gateway/caddymodule/internal/runtime"
	"github.com/tenzo-ai/tenzo-gateway/config/store"
)

// defaultRedis is the default of the option `redis`.
const defaultRedis = "{env.TENZO_REDIS_URL}"

// placeholder matches one placeholder of Caddy.
var placeholder = regexp.MustCompile(`\{[^{}]*\}`)

var errLiteralPassword = errors.New("the password must not be in the configuration itself, because every dump of it would show it: " +
	"write {env.NAME} or {file./path} instead ({$NAME} does not help: Caddy replaces it before the configuration is stored), " +
	"or use the URL's parameter password_file")

// resolveRedis replaces the placeholders of the option `redis`. Its errors say what to set and
// never show the value.
func resolveRedis(option string) (runtime.Target, error) {
	if option == "" {
		option = defaultRedis
	}
	if store.LiteralPassword(option) {
		return runtime.Target{}, errLiteralPassword
	}
	resolved, err := caddy.NewReplacer().ReplaceOrErr(option, true, true)
	switch {
	case err != nil && option == defaultRedis:
		return runtime.Target{}, errors.New("no Redis is configured: set the environment variable TENZO_REDIS_URL to its URL, such as " +
			"redis://localhost:6379/0, or write `redis <url>` in the global option `tenzo`; " +
			"for a trial, `embedded` starts a Redis in this process that keeps everything in memory")
	case err != nil:
		return runtime.Target{}, fmt.Errorf("%s resolves to nothing: set it", strings.Join(placeholder.FindAllString(option, -1), " or "))
	}
	resolved = strings.TrimSpace(resolved)
	if resolved == "" {
		return runtime.Target{}, errors.New("the URL is empty")
	}
	embedded := resolved == store.EmbeddedWord
	url, err := store.ResolveURL(resolved)
	return runtime.Target{URL: url, Embedded: embedded}, err
}

// Package config is what organizations configure, API keys and the webhook, and the rules for it. Every face (command, HTTP API, page)
// calls the services here, so that a rule stands in one place.
//
// It imports no Caddy. The Redis it lives in is package store; what changes is announced through package changes.
package config

// Package tenzogateway registers every module, directive and command of tenzo-gateway with Caddy
// when it is imported, as plugins of Caddy do:
//
//	xcaddy build --with github.com/tenzo-ai/tenzo-gateway --with github.com/mholt/caddy-l4
//
// It has no API of its own. The modules are in package caddymodule, and README.md describes the
// options of each.
package tenzogateway

import _ "github.com/tenzo-ai/tenzo-gateway/caddymodule" // registers the modules

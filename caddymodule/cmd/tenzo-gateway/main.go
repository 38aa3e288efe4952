// Command tenzo-gateway is Caddy with the tenzo modules compiled in. To build it with further plugins, use
// `xcaddy build --with github.com/tenzo-ai/tenzo-gateway/caddymodule --with …` instead.
package main

import (
	_ "time/tzdata"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/tenzo-ai/tenzo-gateway/caddymodule"
)

func main() { caddycmd.Main() }

// Command tenzo-gateway is Caddy with the modules of tenzo-gateway compiled in. To add further
// plugins, use `xcaddy build --with github.com/tenzo-ai/tenzo-gateway --with …` instead.
package main

import (
	_ "time/tzdata"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/tenzo-ai/tenzo-gateway"
)

func main() { caddycmd.Main() }

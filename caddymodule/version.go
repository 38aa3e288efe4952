package caddymodule

import "runtime/debug"

// modulePath is this module's path, by which it is found in the build's own record.
const modulePath = "github.com/tenzo-ai/tenzo-gateway"

// Version is stamped by xcaddy.sh (-ldflags "-X …caddymodule.Version=…"); a build without it falls back to what Go recorded.
var Version string

// version names this build for `tenzo-gateway version` and for the User-Agent of webhooks.
func version() string {
	if Version != "" {
		return Version
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "devel"
	}
	if info.Main.Path == modulePath && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	for _, dep := range info.Deps {
		if dep.Path == modulePath && dep.Replace == nil {
			return dep.Version
		}
	}
	return "devel"
}

package caddymodule

import "runtime/debug"

// modulePath is this module's path in the build information.
const modulePath = "github.com/tenzo-ai/tenzo-gateway"

// Version is set by xcaddy.sh (-ldflags "-X …caddymodule.Version=…"). A build without it uses the
// version that Go recorded.
var Version string

// version returns the version for `tenzo-gateway version` and for the User-Agent of webhooks.
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

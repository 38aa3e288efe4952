#!/usr/bin/env bash
# Builds tenzo-gateway, and runs it.
#
#   ./xcaddy.sh run [arguments of `tenzo-gateway run`…]   builds, then runs with the Caddyfile beside this script
#   ./xcaddy.sh build [arguments of `xcaddy build`…]      builds bin/tenzo-gateway
#
# With xcaddy on the PATH, `build` takes xcaddy's own arguments, such as --with github.com/mholt/caddy-ratelimit. Without it, plain Go
# builds the same program from caddymodule/cmd/tenzo-gateway with the flags that xcaddy uses.
#
# `run` needs no Redis: where TENZO_REDIS_URL is unset it says `embedded`, a server inside the gateway that forgets everything at exit.
# TENZO_GATEWAY_PORT (8080), TENZO_TOOLS_PORT (8081), TENZO_STATUS_PORT (2112), TENZO_ADMIN_PORT (2019) and TENZO_EMBEDDED_ADDR
# (127.0.0.1:36379) choose other ports.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"

readonly module=github.com/tenzo-ai/tenzo-gateway
readonly binary=bin/tenzo-gateway
readonly tags=nobadger,nomysql,nopgx

fail() {
	printf 'xcaddy.sh: %s\n' "$*" >&2
	exit 1
}

usage() {
	sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' "${BASH_SOURCE[0]}"
}

# What `tenzo-gateway version` says: the nearest tag and commit, or "devel" outside a git checkout.
version() {
	git describe --tags --always --dirty 2>/dev/null || printf 'devel'
}

build() {
	command -v go >/dev/null || fail 'Go is needed: https://go.dev/dl/'
	local ldflags
	ldflags="-w -s -X $module/caddymodule.Version=$(version)"
	mkdir -p "$(dirname -- "$binary")"
	if command -v xcaddy >/dev/null; then
		local caddy
		caddy=$(go list -m -f '{{.Version}}' github.com/caddyserver/caddy/v2)
		# These flags replace xcaddy's own, which are the same but for the version.
		XCADDY_GO_BUILD_FLAGS="-trimpath -tags $tags -ldflags '$ldflags'" \
			xcaddy build "$caddy" --with "$module/caddymodule" --replace "$module=$PWD" --output "$binary" "$@"
		return
	fi
	[[ $# -eq 0 ]] || fail "xcaddy is needed for: $* (go install github.com/caddyserver/xcaddy/cmd/xcaddy@latest)"
	go build -trimpath -tags "$tags" -ldflags "$ldflags" -o "$binary" ./caddymodule/cmd/tenzo-gateway
}

run() {
	build
	export TENZO_REDIS_URL=${TENZO_REDIS_URL-embedded}
	exec "$binary" run --config Caddyfile --adapter caddyfile "$@"
}

case ${1-} in
build)
	shift
	build "$@"
	;;
run)
	shift
	run "$@"
	;;
-h | --help | help)
	usage
	;;
*)
	usage >&2
	exit 2
	;;
esac

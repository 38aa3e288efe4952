#!/usr/bin/env bash
# Builds tenzo-gateway, and runs it.
#
#   ./xcaddy.sh run [arguments of `tenzo-gateway run`…]   builds, then runs with the Caddyfile here
#   ./xcaddy.sh build                                     builds bin/tenzo-gateway
#   ./xcaddy.sh build [arguments of `xcaddy build`…]      builds it with further plugins
#
# Without arguments, plain Go builds the program from caddymodule/cmd/tenzo-gateway with the flags
# that xcaddy uses. With arguments, such as --with github.com/mholt/caddy-l4@v0.1.2, xcaddy builds:
#
#   go install github.com/caddyserver/xcaddy/cmd/xcaddy@v0.4.5
#
# `run` needs no Redis. If TENZO_REDIS_URL is unset, it is set to `embedded`: a server inside the
# gateway that keeps its data in memory and loses it at exit. Other ports are chosen with
# TENZO_GATEWAY_PORT (8080), TENZO_TOOLS_PORT (8081), TENZO_STATUS_PORT (2112),
# TENZO_ADMIN_PORT (2019) and TENZO_EMBEDDED_ADDR (127.0.0.1:36379).
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

# Prints what `tenzo-gateway version` says: the nearest tag and commit, or "devel" outside a
# checkout.
version() {
	git describe --tags --always --dirty 2>/dev/null || printf 'devel'
}

build() {
	command -v go >/dev/null || fail 'Go is missing: https://go.dev/dl/'
	local ldflags
	ldflags="-w -s -X $module/caddymodule.Version=$(version)"
	mkdir -p "$(dirname -- "$binary")"
	[[ -e $binary ]] ||
		printf 'The first build downloads about 1 GB of modules and compiles all of Caddy: about 4 minutes on 2 cores, and 2 GB of disk.\n' >&2
	if [[ $# -eq 0 ]]; then
		go build -trimpath -tags "$tags" -ldflags "$ldflags" -o "$binary" ./caddymodule/cmd/tenzo-gateway
		return
	fi
	command -v xcaddy >/dev/null ||
		fail "xcaddy is missing, and needed for: $* (go install github.com/caddyserver/xcaddy/cmd/xcaddy@v0.4.5)"
	local caddy
	caddy=$(go list -m -f '{{.Version}}' github.com/caddyserver/caddy/v2)
	# The version v0.0.0 exists nowhere. Because it is named, and this folder replaces every
	# version, the build succeeds whatever a module proxy answers about this module, a refusal
	# included. The build flags replace xcaddy's own, which are the same without the version.
	XCADDY_GO_BUILD_FLAGS="-trimpath -tags $tags -ldflags '$ldflags'" \
		xcaddy build "$caddy" --with "$module@v0.0.0" --replace "$module=$PWD" --output "$binary" "$@"
}

run() {
	build
	export TENZO_REDIS_URL=${TENZO_REDIS_URL-embedded}
	# The gateway prints these at its start.
	export TENZO_GATEWAY_PORT=${TENZO_GATEWAY_PORT:-8080} TENZO_TOOLS_PORT=${TENZO_TOOLS_PORT:-8081}
	export TENZO_STATUS_PORT=${TENZO_STATUS_PORT:-2112}
	[[ $TENZO_REDIS_URL == embedded ]] ||
		printf 'Gateway: http://localhost:%s. API keys and webhook of demo: http://localhost:%s. Metrics: http://localhost:%s/metrics.\n' \
			"$TENZO_GATEWAY_PORT" "$TENZO_TOOLS_PORT" "$TENZO_STATUS_PORT" >&2
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

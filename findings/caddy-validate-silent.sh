#!/usr/bin/env bash
# `caddy validate` does not say on the terminal why a configuration is invalid, if that
# configuration sends Caddy's log to a file.
#
# One would guess: a command whose purpose is to say what is wrong prints it on standard error and
# leaves the machine as it was.
# What is so: with the global option `log { output file … }` the reason goes to that file, the
# terminal has nothing of it, and the exit status is 1. The production log is opened, and created if
# it was missing, by whoever runs the command. A mistake that the Caddyfile's parser finds is
# printed; one that is found while modules are set up is not. The last line on the terminal,
# "redirected default logger", is the only hint.
# It matters to whoever runs `caddy validate` in a deployment: read the end of the log file as well,
# and run the command as the service's user, or the service cannot write its own log afterwards.
#
# Builds Caddy from the module proxy into a temporary folder; no root is needed. Prints versions,
# what was run and what came out, and fails if that changes.
set -euo pipefail

version=v2.11.9
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
GOBIN=$folder GOFLAGS='' go install "github.com/caddyserver/caddy/v2/cmd/caddy@$version"
go version
go version -m ./caddy | grep -m 1 "caddyserver/caddy/v2[[:space:]]"
export HOME=$folder XDG_CONFIG_HOME=$folder XDG_DATA_HOME=$folder

# The parser takes any word for a hash; what it is for refuses it later.
site='http://127.0.0.1:2999 {
	basic_auth {
		someone not-a-hash
	}
}'
printf '{\n\tadmin off\n}\n%s\n' "$site" >plain.Caddyfile
printf '{\n\tadmin off\n\tlog {\n\t\toutput file %s/caddy.log\n\t}\n}\n%s\n' "$folder" "$site" >logging.Caddyfile

failed=0
expect() { # what, whether it should be so, the command that says whether it is
	local what=$1 want=$2 got=no
	shift 2
	if "$@"; then got=yes; fi
	printf '  %s: %s\n' "$what" "$got"
	[ "$got" = "$want" ] || { printf '  It was %s when this was written.\n' "$want" && failed=1; }
}
validate() {
	status=0
	./caddy validate --config "$1" --adapter caddyfile >terminal 2>&1 || status=$?
	printf '%s: exit status %s, on the terminal:\n' "$1" "$status"
	sed 's/^/    /' terminal
}

validate plain.Caddyfile
expect 'fails' yes test "$status" = 1
expect 'the terminal says why' yes grep -q 'base64' terminal
validate logging.Caddyfile
expect 'fails' yes test "$status" = 1
expect 'the terminal says why' no grep -q 'base64' terminal
expect 'the log file was made' yes test -f caddy.log
expect 'the log file says why' yes grep -q 'base64' caddy.log
exit $failed

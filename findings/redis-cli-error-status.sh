#!/usr/bin/env bash
# redis-cli -e exits 0 although a command from standard input failed.
#
# One would guess: `-e` ("Return exit error code when command execution fails") holds for every
# command, so `redis-cli -e < commands` fails if one of them does.
# What is so: commands that redis-cli reads from standard input never change its exit status; -e
# counts only for a command in its arguments. A connection that is refused is status 0 there, too.
# It matters to scripts that pipe commands, as to keep a password out of the process list. With -x,
# which takes the last argument from standard input, -e works.
#
# Debian packages, unpacked into a temporary folder; no root is needed. Prints versions, what was
# run and what came out, and fails if that changes.
set -euo pipefail

version=5:7.0.15-1~deb12u10 # Debian keeps only the newest; without it, whatever is there
folder=$(mktemp -d)
trap '"$cli" -s "$folder/redis.sock" SHUTDOWN NOSAVE >/dev/null 2>&1 || true; rm -rf "$folder"' EXIT
cli="$folder/usr/bin/redis-cli"
cd "$folder"
apt-get download -qq "redis-tools=$version" 2>/dev/null || apt-get download -qq redis-tools
dpkg -x redis-tools_*.deb .
ln -s usr/bin/redis-check-rdb redis-server # one binary, named for what it does
"$cli" --version
./redis-server --port 0 --unixsocket redis.sock --daemonize yes --save '' --loglevel warning --logfile "$folder/log"
until "$cli" -s redis.sock PING >/dev/null 2>&1; do sleep 0.1; done

try() { # want, what, command…
	local want=$1 what=$2 got=0
	shift 2
	"$@" >out 2>&1 || got=$?
	printf '%s: exit status %s; %s\n' "$what" "$got" "$(head -n 1 out)"
	if [ "$got" != "$want" ]; then
		printf 'It was %s when this was written.\n' "$want"
		exit 1
	fi
}

try 1 'an unknown command as arguments, with -e' "$cli" -e -s redis.sock NOSUCH
try 0 'the same on standard input, with -e' sh -c "echo NOSUCH | '$cli' -e -s redis.sock"
try 0 'no server, PING on standard input, with -e' sh -c "echo PING | '$cli' -e -s no.sock"
try 1 'a wrong last argument on standard input, with -e -x' sh -c "printf wrong | '$cli' -e -x -s redis.sock ACL SETUSER someone"

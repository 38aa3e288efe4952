#!/usr/bin/env bash
# Runs every check there is: gets what the tests need, then vets, lints and tests with the race detector.
# The last lines are those of `go test`, and its exit status is this script's.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

golangci_version=2.15.0
tools="$PWD/.cache/bin"

say() { printf '\n== %s\n' "$*"; }
die() {
	printf 'tests/run.sh: %s\n' "$*" >&2
	exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

have go || die "Go is missing: https://go.dev/doc/install"

# What the tests call, each with the Debian package it comes from. gcc is for the race detector.
needs=(
	redis-server:redis-server
	redis-cli:redis-tools
	promtool:prometheus
	chromium:chromium
	python3:python3
	curl:curl
	node:nodejs
	npm:npm
	systemd-analyze:systemd
	shellcheck:shellcheck
	gcc:gcc
)

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif [ -t 0 ]; then
		sudo "$@"
	else
		sudo -n "$@"
	fi
}

# Installs packages without letting the services they bring start, now or at the next boot: tests start servers of their own.
install_packages() {
	have apt-get || die "these programs are missing, and there is no apt-get to install them with: ${missing[*]}"
	[ "$(id -u)" -eq 0 ] || have sudo || die "these packages are missing; install them as root: $*"
	say "installing $*"
	local policy=/usr/sbin/policy-rc.d own_policy=
	if [ ! -e "$policy" ]; then
		own_policy=yes
		printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
		as_root chmod 755 "$policy"
	fi
	local status=0
	as_root apt-get update -qq &&
		as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null || status=$?
	[ -z "$own_policy" ] || as_root rm -f "$policy"
	[ "$status" -eq 0 ] || die "installing failed; install these by hand: $*"
	local service
	for service in redis-server prometheus; do
		case " $* " in *" $service "*)
			if [ -d /run/systemd/system ]; then
				as_root systemctl disable --now "$service" >/dev/null 2>&1 || true
			fi
			;;
		esac
	done
}

missing=()
packages=()
for need in "${needs[@]}"; do
	if ! have "${need%%:*}"; then
		missing+=("${need%%:*}")
		packages+=("${need#*:}")
		# Without it the C library's headers would be left out with the other recommendations.
		[ "${need#*:}" != gcc ] || packages+=(libc6-dev)
	fi
done
[ "${#packages[@]}" -eq 0 ] || install_packages "${packages[@]}"
for need in "${needs[@]}"; do
	have "${need%%:*}" || die "${need%%:*} is still missing after installing ${need#*:}"
done

lint="$tools/golangci-lint"
if ! "$lint" version 2>/dev/null | grep -qF "$golangci_version"; then
	say "building golangci-lint $golangci_version"
	GOBIN="$tools" GOFLAGS='' go install "github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v$golangci_version"
fi

say "packages of npm"
for install in tests/*/install.sh; do
	"$install"
done

say "shellcheck"
find . \( -name .git -o -name .cache -o -name node_modules \) -prune -o \( -name '*.sh' -o -path ./.ci/run \) -type f -print0 | xargs -0 shellcheck

say "gofmt"
unformatted=$(find . \( -name .git -o -name .cache -o -name node_modules \) -prune -o -name '*.go' -print0 | xargs -0 gofmt -l)
[ -z "$unformatted" ] || die "not formatted; run gofmt -w on: $unformatted"

say "go vet"
go vet ./...

say "golangci-lint"
"$lint" run --timeout 10m ./...

say "go test -race"
exec env CGO_ENABLED=1 go test -race -p 2 -timeout 12m "$@" ./...

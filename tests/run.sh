#!/usr/bin/env bash
# Tests tenzo-gateway.
#
#   ./tests/run.sh [arguments of `go test`…]         every check there is; CI runs this
#   ./tests/run.sh quick [arguments of `go test`…]   vet, and the tests that need no root, no
#                                                    Chromium and no Prometheus
#   ./tests/run.sh --no-install …                    names missing programs, installs none
#
# A full run needs Debian or Ubuntu, because it installs Debian packages (as root, or with sudo),
# packages of npm, and golangci-lint, which it builds from source. The first run takes about 30
# minutes on 2 cores and 6 GB of disk, later ones about 12 minutes. It tests before it lints, so
# that a first run waits less for the tests, and repeats the summary of `go test` at the end. If CI
# is set it lints first.
#
# `quick` installs nothing. It needs Go, redis-server, redis-cli, python3, curl, node, shellcheck
# and systemd-analyze, and takes about 2 minutes once everything is compiled.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

readonly golangci_version=2.15.0
readonly tools="$PWD/.cache/bin"
readonly lint="$tools/golangci-lint"

# The flags of xcaddy.sh, for everything but the tests themselves, so that Caddy's packages are
# compiled only twice: once with these flags and once with -race.
readonly build_flags='-trimpath -tags=nobadger,nomysql,nopgx'

# Programs that tests run, each with its Debian package. gcc is for the race detector.
readonly quick_needs=(
	redis-server:redis-server
	redis-cli:redis-tools
	python3:python3
	curl:curl
	node:nodejs
	shellcheck:shellcheck
	systemd-analyze:systemd
)
readonly full_needs=(
	"${quick_needs[@]}"
	promtool:prometheus
	chromium:chromium
	npm:npm
	gcc:gcc
)

# Packages and tests that `quick` leaves out, because they need Chromium, Prometheus or packages of
# npm, or build with xcaddy. A new package or test is part of both runs unless it is named here.
readonly slow_packages='/tests/(browser|chaos)$'
readonly slow_tests='^(TestComposeFileIsWhole|TestDashboardsHaveGrafanasTypes|TestOperatorsSeeWhatHappens|TestPrometheusAcceptsItsConfiguration|TestRulesOfOtherExportersAreValid|TestRulesPassTheirTests|TestThresholdsAreTested|TestXcaddy|TestXcaddyWithPlugin)$'

say() { printf '\n== %s\n' "$*"; }
die() {
	printf 'tests/run.sh: %s\n' "$*" >&2
	exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif [ -t 0 ]; then
		sudo "$@"
	else
		sudo -n "$@"
	fi
}

# Installs packages without starting the services that come with them, now or at the next boot,
# because tests start servers of their own.
install_packages() {
	say "installing Debian packages, 1 to 3 minutes: $*"
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

# Installs what is missing of the programs given as program:package, or ends.
require() {
	have go || die "Go is missing: https://go.dev/doc/install"
	local need missing=() packages=()
	for need in "$@"; do
		if ! have "${need%%:*}"; then
			missing+=("${need%%:*}")
			packages+=("${need#*:}")
			# libc6-dev has the headers, and is one of the recommendations that are left out.
			[ "${need#*:}" != gcc ] || packages+=(libc6-dev)
		fi
	done
	[ "${#packages[@]}" -gt 0 ] || return 0
	[ "$install" = yes ] || die "missing: ${missing[*]}. On Debian or Ubuntu: apt-get install ${packages[*]}"
	have apt-get || die "missing: ${missing[*]}. They are installed on Debian and Ubuntu only"
	[ "$(id -u)" -eq 0 ] || have sudo || die "missing: ${missing[*]}. Install as root: apt-get install ${packages[*]}"
	install_packages "${packages[@]}"
	for need in "$@"; do
		have "${need%%:*}" || die "${need%%:*} is still missing after installing ${need#*:}"
	done
}

check_shell() {
	say "shellcheck, gofmt"
	find . \( -name .git -o -name .cache -o -name node_modules \) -prune -o \( -name '*.sh' -o -path ./.ci/run \) -type f -print0 | xargs -0 shellcheck
	local unformatted
	unformatted=$(find . \( -name .git -o -name .cache -o -name node_modules \) -prune -o -name '*.go' -print0 | xargs -0 gofmt -l)
	[ -z "$unformatted" ] || die "not formatted; run gofmt -w on: $unformatted"
}

run_lint() {
	if ! "$lint" version 2>/dev/null | grep -qF "$golangci_version"; then
		[ "$install" = yes ] || die "golangci-lint $golangci_version is missing in .cache/bin"
		say "building golangci-lint $golangci_version, 3 to 6 minutes the first time"
		GOBIN="$tools" GOFLAGS='' go install "github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v$golangci_version"
	fi
	say "golangci-lint, which runs vet too, 3 to 10 minutes the first time, then 1"
	GOFLAGS="$(go env GOFLAGS) $build_flags" "$lint" run ./...
}

# Reports whether arguments of `go test` end with a package.
names_packages() { [[ $# -gt 0 && ${*: -1} == ./* ]]; }

run_tests() {
	say "go test -race, 10 to 20 minutes the first time, then 8"
	local packages=(./...)
	! names_packages "$@" || packages=()
	CGO_ENABLED=1 go test -race -vet=off -p 2 -timeout 12m "$@" "${packages[@]}"
}

quick() {
	require "${quick_needs[@]}"
	say "go vet"
	GOFLAGS="$(go env GOFLAGS) $build_flags" go vet ./...
	say "go test, about 2 minutes"
	local packages=()
	names_packages "$@" || mapfile -t packages < <(go list ./... | grep -Ev "$slow_packages")
	TENZO_TEST_REQUESTS=${TENZO_TEST_REQUESTS-20000} GOFLAGS="$(go env GOFLAGS) $build_flags" \
		go test -vet=off -p 6 -timeout 10m -skip "$slow_tests" "$@" "${packages[@]}"
}

full() {
	require "${full_needs[@]}"
	[ "$install" = no ] || {
		say "packages of npm"
		local script
		for script in tests/*/install.sh; do
			"$script"
		done
	}
	check_shell
	if [ -n "${CI-}" ]; then
		run_lint
		run_tests "$@"
	else
		local status=0 output
		output=$(mktemp)
		run_tests "$@" | tee "$output" || status=$?
		run_lint || status=$?
		# The last lines are those of `go test`, in any case.
		say "go test said"
		grep -E '^(ok|FAIL|---|panic:|\?) ?' "$output" || true
		rm -f "$output"
		return "$status"
	fi
}

install=yes
mode=full
while :; do
	case ${1-} in
	quick) mode=quick install=no ;;
	--no-install) install=no ;;
	-h | --help)
		sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p;}' tests/run.sh
		exit 0
		;;
	*) break ;;
	esac
	shift
done
"$mode" "$@"

#!/usr/bin/env bash
# Installs what the browser tests run in the page, exactly as the lockfile says; does nothing where
# it is there already.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
if ! cmp -s package-lock.json node_modules/.installed; then
	npm ci --silent
	cp package-lock.json node_modules/.installed
fi

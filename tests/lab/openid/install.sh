#!/bin/sh
# The OpenID provider of the tests, from its lock file. Without node 20 and npm nothing is installed; the tests then
# say what they had to leave out, and why.
set -eu
cd "$(dirname "$0")"
if ! command -v npm >/dev/null || [ "$(node -p 'Number(process.versions.node.split(".")[0]) >= 20')" != true ]; then
    echo "lab: the OpenID provider needs node 20 or later and npm" >&2
    exit 0
fi
[ node_modules/.package-lock.json -nt package-lock.json ] && exit 0
npm ci --ignore-scripts --no-audit --no-fund --silent || echo "lab: the OpenID provider could not be installed" >&2

#!/usr/bin/env bash
# Checks the unit: that systemd understands it, and that it exposes little.
set -euo pipefail
cd "$(dirname "$0")/../.."

# Of 100; a unit without hardening has 96.
readonly LIMIT=20
unit=packaging/systemd/zv-agent.service
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The programs and pages it names are those of the package, and need not be here.
sed -e 's|/usr/bin/zv-agent|/bin/true|' -e '/^Documentation=/d' "$unit" >"$work/zv-agent.service"
complaints=$(systemd-analyze verify --man=no "$work/zv-agent.service" 2>&1 | grep -F zv-agent || true)
if [[ -n $complaints ]]; then printf '%s\n' "$complaints" >&2 && exit 1; fi
systemd-analyze security --no-pager --offline=true --threshold="$LIMIT" "$work/zv-agent.service" >"$work/report" ||
  { grep -v '✓' "$work/report" >&2 && exit 1; }
tail -n 1 "$work/report"

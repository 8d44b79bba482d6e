#!/usr/bin/env bash
# Builds the Debian package twice, as two versions, and installs, upgrades, removes and purges it in a small Debian root.
set -euo pipefail
cd "$(dirname "$0")/../.."

usage() {
  cat <<'USAGE'
usage: packaging/test/deb.sh BINARIES

BINARIES is the folder with zv and zv-agent. Needs root and debootstrap; lintian has its say where it is installed.
USAGE
}

binaries=${1:-}
if [[ -z $binaries || $binaries == -* ]]; then usage >&2 && exit 2; fi
work=$(mktemp -d)
root=$work/root
trap 'rm -rf "$work"' EXIT

die() {
  printf 'deb.sh: %s\n' "$1" >&2
  exit 1
}
inside() { LC_ALL=C unshare --mount --pid --fork --mount-proc="$root/proc" chroot "$root" "$@"; }
has() { [[ -e $root/$1 ]] || die "there is no /$1"; }
has_not() { [[ ! -e $root/$1 ]] || die "there still is /$1"; }

export ZV_XZ_LEVEL=0
old=$(packaging/deb/build.sh --binaries "$binaries" --version 0.0.1-1 --out "$work")
new=$(packaging/deb/build.sh --binaries "$binaries" --out "$work")
if command -v lintian >/dev/null; then
  lintian --allow-root --fail-on error,warning "$new" || die 'lintian complains'
fi

mirror=$(sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/debian.sources 2>/dev/null | head -n 1 || true)
debootstrap --variant=minbase --include=adduser bookworm "$root" ${mirror:+"$mirror"} >"$work/log" ||
  { tail -n 5 "$work/log" >&2 && die 'debootstrap failed'; }
mkdir -p "$root/debs" && cp "$old" "$root/debs/old.deb" && cp "$new" "$root/debs/new.deb"

said=$(inside dpkg --install /debs/old.deb 2>&1) || die "it cannot be installed: $said"
[[ $said == *'systemctl enable --now zv-agent'* ]] || die 'it does not say how to start it'
for path in usr/bin/zv usr/bin/zv-agent usr/lib/systemd/system/zv-agent.service usr/share/man/man1/zv-agent.1.gz \
  usr/share/bash-completion/completions/zv usr/share/doc/zv/README.Debian; do has "$path"; done
has_not etc/systemd/system/multi-user.target.wants/zv-agent.service
inside zv config check /etc/zv/zv.yaml >/dev/null
inside zv-agent --version >/dev/null
inside id zv >/dev/null 2>&1 || die 'there is no user zv'
[[ $(inside id -gn zv) == zv ]] || die 'there is no group zv'
[[ $(inside stat -c '%U:%G %a' /var/lib/zv) == 'zv:zv 750' ]] || die 'the store is not the agent'\''s'

# A configuration that a person changed outlives the upgrade, and so does the store.
echo 'log: { level: debug }' >>"$root/etc/zv/zv.yaml"
touch "$root/var/lib/zv/kept"
inside dpkg --install /debs/new.deb >/dev/null 2>&1 || die 'it cannot be upgraded'
grep -q 'level: debug' "$root/etc/zv/zv.yaml" || die 'the upgrade overwrote the configuration'
has var/lib/zv/kept

inside dpkg --remove zv >/dev/null 2>&1 || die 'it cannot be removed'
has_not usr/bin/zv-agent
has etc/zv/zv.yaml
has var/lib/zv/kept
inside dpkg --purge zv >/dev/null 2>&1 || die 'it cannot be purged'
has_not etc/zv
has_not var/lib/zv
inside dpkg --install /debs/new.deb >/dev/null 2>&1 || die 'it cannot be installed again'
inside dpkg --purge zv >/dev/null 2>&1 || die 'it cannot be purged at once'
printf 'deb.sh: installed, upgraded, removed and purged %s\n' "${new##*/}"

#!/usr/bin/env bash
# Builds the package zv_VERSION_ARCH.deb from binaries, with what they generate themselves.
set -euo pipefail
cd "$(dirname "$0")/../.."

usage() {
  cat <<'USAGE'
usage: packaging/deb/build.sh [--binaries DIR] [--version VERSION] [--out DIR]

  --binaries DIR     the folder with zv and zv-agent; default: they are built with the profile `dist`
  --version VERSION  default: that of Cargo.toml, as the first revision of its package
  --out DIR          where the package goes; default: target/packages

Prints the path of the package. Needs dpkg-deb, gzip and strip. ZV_XZ_LEVEL=0 packs faster, for tests.
USAGE
}

binaries='' version='' out=target/packages
while (($#)); do
  case $1 in
    --binaries) binaries=${2:?} && shift 2 ;;
    --version) version=${2:?} && shift 2 ;;
    --out) out=${2:?} && shift 2 ;;
    --help | -h) usage && exit 0 ;;
    *) usage >&2 && exit 2 ;;
  esac
done

if [[ -z $binaries ]]; then
  cargo build --quiet --profile dist --package zv-agent --package zv
  binaries=$(dirname "$(find target -path '*/dist/zv-agent' -type f | head -n 1)")
fi
[[ -n $version ]] || version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)-1
arch=$(dpkg --print-architecture)
# The same sources give the same package.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
here=packaging/deb

put() { install -D -m "$1" "$2" "$root/$3"; } # put MODE FILE PATH
squeeze() { mkdir -p "$(dirname "$root/$1")" && gzip -9n >"$root/$1" && chmod 644 "$root/$1"; } # squeeze PATH < content

for program in zv zv-agent; do
  put 755 "$binaries/$program" usr/bin/$program
  strip "$root/usr/bin/$program"
done
put 644 packaging/systemd/zv-agent.service usr/lib/systemd/system/zv-agent.service
put 644 $here/zv.yaml etc/zv/zv.yaml

zv=$root/usr/bin/zv
"$zv" config check "$root/etc/zv/zv.yaml" >/dev/null
"$zv" man "$work/man" 2>/dev/null
for page in "$work"/man/*.1; do squeeze "usr/share/man/man1/${page##*/}.gz" <"$page"; done
"$zv" completions bash >"$work/bash" && put 644 "$work/bash" usr/share/bash-completion/completions/zv
"$zv" completions zsh >"$work/zsh" && put 644 "$work/zsh" usr/share/zsh/vendor-completions/_zv
"$zv" completions fish >"$work/fish" && put 644 "$work/fish" usr/share/fish/vendor_completions.d/zv.fish

doc=usr/share/doc/zv
put 644 $here/debian/copyright $doc/copyright
put 644 $here/debian/README.Debian $doc/README.Debian
for page in docs/cli.md docs/zv.schema.json README.md; do put 644 "$page" "$doc/${page##*/}"; done
squeeze $doc/changelog.gz <CHANGELOG.md
squeeze $doc/changelog.Debian.gz <<CHANGES
zv ($version) unstable; urgency=medium

  * See changelog.gz for what changed.

 -- The zv authors <maintainers@zv.invalid>  $(date -uRd "@$SOURCE_DATE_EPOCH")
CHANGES
put 644 $here/debian/lintian-overrides usr/share/lintian/overrides/zv

mkdir -p "$root/DEBIAN"
size=$(du -k --summarize --apparent-size "$root" | cut -f 1)
sed "s/@VERSION@/$version/; s/@ARCH@/$arch/; s/@SIZE@/$size/" $here/debian/control.in >"$root/DEBIAN/control"
echo /etc/zv/zv.yaml >"$root/DEBIAN/conffiles"
for script in postinst prerm postrm; do put 755 $here/debian/$script DEBIAN/$script; done
(cd "$root" && find usr -type f -print0 | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
find "$root" -type d -exec chmod 755 {} +

mkdir -p "$out"
package=$out/zv_${version}_$arch.deb
dpkg-deb --root-owner-group -Zxz -z"${ZV_XZ_LEVEL:-6}" --build "$root" "$package" >/dev/null
printf '%s\n' "$package"

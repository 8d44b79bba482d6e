#!/usr/bin/env bash
# Boots a Debian kernel with version 2 of cgroups, systemd and a Docker engine, under software emulation, runs a command in
# it and brings back its files and its exit code. For machines that have version 1 alone, and no KVM. Not part of CI: the
# first run takes minutes to install the guest, each boot about one.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: cgroup2-vm.sh [OPTION]... [COMMAND [ARGUMENT]...]

COMMAND runs in the guest as root, under systemd, in a copy of the payload's folder; what it writes to $OUT comes back.
The exit code is COMMAND's; 124 after --timeout, 125 where the guest did not get that far. Without COMMAND, the guest is
installed and nothing is booted.

  --payload DIR     files for the guest; default: none
  --out DIR         where $OUT of the guest goes; default: thrown away
  --cache DIR       where guests are kept between runs; default: /var/tmp/zv-cgroup2-vm
  --suite SUITE     the Debian release of the guest: trixie (default) or bookworm
  --memory MIB      default: 1536
  --cpus N          default: 2
  --timeout SECONDS for boot and COMMAND together; default: 1500
  --no-install      do not install what the host lacks (qemu, debootstrap)

example:
  cgroup2-vm.sh --payload packaging/test --out /tmp/trees sh -c 'sh cgroup2-trees.sh "$OUT"'
USAGE
}

payload='' out='' cache=/var/tmp/zv-cgroup2-vm suite=trixie memory=1536 cpus=2 limit=1500 install=yes
while (($#)); do
  case $1 in
    --payload) payload=${2:?} && shift 2 ;;
    --out) out=${2:?} && shift 2 ;;
    --cache) cache=${2:?} && shift 2 ;;
    --suite) suite=${2:?} && shift 2 ;;
    --memory) memory=${2:?} && shift 2 ;;
    --cpus) cpus=${2:?} && shift 2 ;;
    --timeout) limit=${2:?} && shift 2 ;;
    --no-install) install=no && shift ;;
    --help | -h) usage && exit 0 ;;
    --) shift && break ;;
    -*) usage >&2 && exit 2 ;;
    *) break ;;
  esac
done

die() {
  printf 'cgroup2-vm: %s\n' "$1" >&2
  exit 125
}

((EUID == 0)) || die 'run it as root: debootstrap needs that'
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

host_packages() {
  local missing=() pair
  for pair in qemu-system-x86_64:qemu-system-x86 debootstrap:debootstrap mke2fs:e2fsprogs; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
  done
  ((${#missing[@]})) || return 0
  [[ $install == yes ]] || die "these packages are missing: ${missing[*]}"
  apt-get -qq update
  DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends seabios "${missing[@]}" >/dev/null
}

# The host's own, if it is a Debian; else debootstrap knows one.
mirror() { sed -n 's/^URIs: *//p' /etc/apt/sources.list.d/debian.sources 2>/dev/null | head -n 1 || true; }

# The unit that does what this script is asked for, on the first console, and then ends the machine.
guest_unit() {
  cat <<'UNIT'
[Unit]
Description=The command of cgroup2-vm.sh
After=basic.target
SuccessAction=poweroff-force
FailureAction=poweroff-force

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/zv-vm
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
TimeoutStartSec=infinity

[Install]
WantedBy=multi-user.target
UNIT
}

guest_command() {
  cat <<'COMMAND'
#!/bin/sh
# The second disk holds the payload as a tar, the third takes the results as one.
mkdir -p /zv/payload /zv/out
tar -xf /dev/vdb -C /zv
cd /zv/payload || exit 1
OUT=/zv/out sh /zv/command
printf '%s\n' "$?" >/zv/code
tar -cf /dev/vdc -C /zv code out
sync
COMMAND
}

# Installs the guest in a folder and makes an image of it. The folder is left behind: kernel and initrd are taken from it.
install_guest() {
  local root=$1 image=$2
  rm -rf "$root" "$image"
  mkdir -p "$root"
  local from
  from=$(mirror)
  debootstrap --variant=minbase --include=ca-certificates "$suite" "$root" ${from:+"$from"} >"$work/debootstrap.log" ||
    { tail -n 5 "$work/debootstrap.log" >&2 && die "debootstrap of $suite failed"; }
  printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d" && chmod +x "$root/usr/sbin/policy-rc.d"
  mkdir -p "$root/etc/initramfs-tools/conf.d"
  echo MODULES=list >"$root/etc/initramfs-tools/conf.d/zv"
  printf '%s\n' virtio_pci virtio_blk ext4 >"$root/etc/initramfs-tools/modules"
  # Its own mounts, so that none is left behind.
  unshare --mount --pid --fork chroot "$root" /bin/sh -c '
    mount -t proc proc /proc && mount -t tmpfs tmpfs /tmp
    export DEBIAN_FRONTEND=noninteractive LC_ALL=C
    apt-get -qq install -y --no-install-recommends systemd systemd-sysv dbus udev kmod iproute2 iptables procps curl \
      busybox-static initramfs-tools linux-image-cloud-amd64 docker.io docker-cli adduser >/dev/null || exit 1
    apt-get clean' || die 'the packages of the guest could not be installed'
  rm "$root/usr/sbin/policy-rc.d"
  rm -rf "$root"/usr/share/{doc,locale,man} "$root"/var/lib/apt/lists/*
  echo zv-vm >"$root/etc/hostname"
  echo '127.0.0.1 localhost zv-vm' >"$root/etc/hosts"
  echo '/dev/vda / ext4 rw,noatime 0 0' >"$root/etc/fstab"
  guest_unit >"$root/etc/systemd/system/zv-vm.service"
  guest_command >"$root/usr/local/sbin/zv-vm" && chmod +x "$root/usr/local/sbin/zv-vm"
  # The command decides about the engine, and nothing else has to run.
  chroot "$root" systemctl disable docker.service docker.socket containerd.service apt-daily.timer apt-daily-upgrade.timer \
    e2scrub_all.timer fstrim.timer dpkg-db-backup.timer getty@tty1.service 2>/dev/null || true
  chroot "$root" systemctl mask serial-getty@ttyS0.service systemd-update-utmp.service systemd-random-seed.service \
    e2scrub_reap.service systemd-timesyncd.service ldconfig.service systemd-hwdb-update.service 2>/dev/null || true
  chroot "$root" systemctl enable zv-vm.service 2>/dev/null
  truncate -s 4G "$image.new"
  mke2fs -q -F -t ext4 -m 0 -E lazy_itable_init=1 -d "$root" "$image.new"
  mv "$image.new" "$image"
}

run_guest() {
  local root=$1 image=$2 code=0 tree=$work/tree
  shift 2
  mkdir -p "$tree/payload"
  [[ -z $payload ]] || cp -a "$payload/." "$tree/payload/"
  { printf 'exec' && printf ' %q' "$@" && echo; } >"$tree/command"
  tar -cf "$work/in.tar" -C "$tree" .
  truncate -s 256M "$work/out.tar"
  local kernel initrd
  kernel=$(find "$root/boot" -name 'vmlinuz-*' | head -n 1)
  initrd=$(find "$root/boot" -name 'initrd.img-*' | head -n 1)
  [[ -n $kernel && -n $initrd ]] || die "there is no kernel in $root/boot"
  # The root is a snapshot: every run begins with the guest as it was installed.
  TMPDIR=$work timeout --foreground "$limit" nice -n 10 qemu-system-x86_64 \
    -machine q35 -accel tcg,thread=multi -cpu Westmere,-cx16 -smp "$cpus" -m "$memory" \
    -nographic -no-reboot -nic none -monitor none -serial "file:$work/console" \
    -kernel "$kernel" -initrd "$initrd" \
    -append 'root=/dev/vda rw console=ttyS0 loglevel=3 mitigations=off systemd.unified_cgroup_hierarchy=1 systemd.show_status=0 cgroup_enable=memory psi=1 panic=-1' \
    -drive "file=$image,format=raw,if=virtio,snapshot=on" \
    -drive "file=$work/in.tar,format=raw,if=virtio,readonly=on" \
    -drive "file=$work/out.tar,format=raw,if=virtio" </dev/null >"$work/qemu" 2>&1 || code=$?
  if [[ -n $out ]]; then mkdir -p "$out" && cp "$work/console" "$out/console" 2>/dev/null; fi
  if [[ -z $out ]]; then cat "$work/console"; fi
  ((code != 124)) || { tail -n 20 "$work/console" >&2 && return 124; }
  mkdir "$work/result"
  if ! tar -xf "$work/out.tar" -C "$work/result" 2>/dev/null || [[ ! -s $work/result/code ]]; then
    cat "$work/qemu" >&2
    tail -n 20 "$work/console" >&2
    die 'the guest ended without a result'
  fi
  if [[ -n $out ]]; then cp -a "$work/result/out/." "$out/"; fi
  return "$(cat "$work/result/code")"
}

host_packages
mkdir -p "$cache"
root=$cache/$suite image=$cache/$suite.img
[[ -f $image ]] || install_guest "$root" "$image"
(($#)) || exit 0
run_guest "$root" "$image" "$@"

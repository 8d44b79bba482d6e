#!/bin/sh
# Runs in the guest of cgroup2-vm.sh: starts containers under both cgroup drivers and copies what the kernel shows of them,
# to be read by tests on machines without version 2. usage:
# cgroup2-trees.sh FOLDER [systemd|cgroupfs]...
set -eu
out=$1
shift
[ $# -gt 0 ] || set -- systemd cgroupfs
here=$(dirname "$0")
# shellcheck source=packaging/test/engine.sh
. "$here/engine.sh"

# Copies a folder of a kernel's file system, file by file: their sizes are 0, so cp and tar would see nothing.
copy_tree() { # copy_tree FROM TO
  # The units of the guest's own system are of no interest.
  find "$1" -depth -type d ! -name '*.mount' ! -path '*.service*' ! -name '*.socket' ! -name 'user.slice' |
    while read -r folder; do
      mkdir -p "$2${folder#"$1"}"
      for file in "$folder"/*; do
        case $file in */cgroup.kill | */memory.reclaim | *hugetlb* | *rdma* | */misc.*) continue ;; esac
        if [ -f "$file" ]; then cat "$file" >"$2${file#"$1"}" 2>/dev/null || rm -f "$2${file#"$1"}"; fi
      done
    done
}

proc_of() { # proc_of PID TO
  mkdir -p "$2/net"
  for file in cgroup mountinfo stat status net/dev; do cat "/proc/$1/$file" >"$2/$file"; done
}

containers() { # containers PARENT
  run limited --cpus 0.2 --memory 64m --memory-swap 96m --pids-limit 50 --cpu-shares 512 --volume /srv:/srv:rw \
    sh -c 'dd if=/dev/zero of=/srv/file bs=64k count=64 conv=fsync; (while :; do :; done) & while :; do sleep 1; done'
  run plain sleep 100000
  run hungry --memory 32m sh -c 'sleep 1; tail /dev/zero; while :; do sleep 1; done'
  run nested --cgroup-parent "$1" sleep 100000
  run hostns --cgroupns host sleep 100000
  # As the agent is run in a container: it sees the host's processes and groups from its own cgroup namespace.
  run watcher --pid host --volume /sys/fs/cgroup:/sys/fs/cgroup:ro sleep 100000
}

for driver; do
  start_engine "$driver"
  import_busybox
  if [ "$driver" = systemd ]; then containers shop.slice; else containers /shop; fi
  sleep 20
  to=$out/$driver
  mkdir -p "$to/proc" "$to/docker"
  docker stats --no-stream --no-trunc >"$to/docker/stats.txt"
  copy_tree /sys/fs/cgroup "$to/cgroup"
  proc_of self "$to/proc/self-on-host"
  for name in limited plain hungry nested hostns watcher; do
    pid=$(docker inspect --format '{{.State.Pid}}' "$name")
    proc_of "$pid" "$to/proc/$name"
    docker inspect "$name" >"$to/docker/$name.json"
    mkdir -p "$to/inside/$name"
    docker exec "$name" cat /proc/self/cgroup >"$to/inside/$name/cgroup"
    docker exec "$name" cat /proc/self/mountinfo >"$to/inside/$name/mountinfo"
    docker exec "$name" ls /sys/fs/cgroup >"$to/inside/$name/ls-sys-fs-cgroup"
    # The same process as the container that watches sees it.
    mkdir -p "$to/inside/watcher-sees"
    docker exec watcher cat "/proc/$pid/cgroup" >"$to/inside/watcher-sees/$name.cgroup"
    printf '%s %s %s\n' "$name" "$(docker inspect --format '{{.Id}}' "$name")" "$pid" >>"$to/names"
  done
  uname -a >"$to/kernel"
  docker version >"$to/docker/version.txt"
  docker info >"$to/docker/info.txt" 2>&1 || true
  stop_engine
done

# Sourced by the scripts that run in the guest of cgroup2-vm.sh: an engine under either cgroup driver, and containers of one
# static busybox. No network, no registry.
# shellcheck shell=sh
export DOCKER_HOST=unix:///run/docker.sock

wait_for() { # wait_for SECONDS COMMAND...
  left=$1
  shift
  until "$@" >/dev/null 2>&1; do
    left=$((left - 1))
    [ "$left" -gt 0 ] || { echo "gave up waiting for: $*" >&2 && return 1; }
    sleep 1
  done
}

start_engine() { # start_engine systemd|cgroupfs
  mkdir -p /etc/docker
  printf '{ "exec-opts": ["native.cgroupdriver=%s"], "iptables": true, "ip6tables": false }\n' "$1" >/etc/docker/daemon.json
  systemctl start docker.service || { journalctl -u docker --no-pager | tail -n 20 >&2 && return 1; }
  wait_for 120 docker version
  [ "$(docker info --format '{{.CgroupVersion}} {{.CgroupDriver}}')" = "2 $1" ]
}

stop_engine() {
  docker ps --all --quiet | xargs -r docker rm --force >/dev/null
  systemctl stop docker.socket docker.service containerd.service
}

import_busybox() {
  docker image inspect busybox >/dev/null 2>&1 && return
  root=$(mktemp -d)
  mkdir -p "$root/bin" "$root/tmp" "$root/etc" "$root/srv"
  cp /bin/busybox "$root/bin/busybox"
  for applet in $(busybox --list); do [ "$applet" = busybox ] || ln -s busybox "$root/bin/$applet"; done
  tar -c -C "$root" . | docker import --change 'ENV PATH=/bin' - busybox >/dev/null
  rm -rf "$root"
}

run() { # run NAME [OPTION]... COMMAND: detached, as a service of the project `vm`
  name=$1
  shift
  options=
  while :; do
    case $1 in
      --*) options="$options $1 $2" && shift 2 ;;
      *) break ;;
    esac
  done
  # Emulation is slow, and what is slow enough may run into a deadline of the engine.
  for _ in 1 2 3; do
    # shellcheck disable=SC2086 # Options hold no spaces.
    docker run --detach --name "$name" --label com.docker.compose.project=vm --label "com.docker.compose.service=$name" \
      $options busybox "$@" >/dev/null && return
    docker rm --force "$name" >/dev/null 2>&1 || true
  done
  return 1
}

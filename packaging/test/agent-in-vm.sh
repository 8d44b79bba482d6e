#!/bin/sh
# Runs in the guest of cgroup2-vm.sh: starts the agent beside an engine, by its unit from the package and then from its image,
# and holds what it measures against the control groups' own files and `docker stats`. usage:
# agent-in-vm.sh FOLDER [systemd|cgroupfs]...
# Beside this script lie zv.deb and the folder `image`, a context to build the agent's image in.
set -eu
out=$1
shift
[ $# -gt 0 ] || set -- systemd cgroupfs
here=$(dirname "$0")
# shellcheck source=packaging/test/engine.sh
. "$here/engine.sh"

readonly WINDOW=60 TOKEN=0123456789abcdef0123456789abcdef
watched='limited writer plain nested hungry'
faults=0

say() { printf '%s\n' "$*" | tee -a "$out/report"; }

# Says how far two numbers are apart, and counts those that are further than they may be.
check() { # check WHAT EXPECTED FOUND PERCENT
  verdict=$(awk -v a="$2" -v b="${3:-none}" -v most="$4" 'BEGIN {
    if (b == "none") { print "MISSING"; exit }
    off = a == b ? 0 : a == 0 ? 100 : 100 * (b - a) / a
    printf "%s %.2f %%", (off < 0 ? -off : off) <= most ? "ok" : "OFF", off }')
  case $verdict in ok*) ;; *) faults=$((faults + 1)) ;; esac
  say "$(printf '  %-34s %16s %16s  %s' "$1" "$2" "${3:-none}" "$verdict")"
}

ask() { curl -fsS --max-time 20 -H "Authorization: Bearer $TOKEN" "$url$1"; }
pid_of() { docker inspect --format '{{.State.Pid}}' "$1"; }
group_of() { echo "/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$(pid_of "$1")/cgroup")"; }
field() { awk -v name="$2" '$1 == name { print $2 }' "$1"; }
seconds() { awk -v usec="$1" 'BEGIN { printf "%.6f", usec / 1000000 }'; }
# The sum of a metric's series of one container.
metric() { awk -v start="$1{" -v name="name=\"$2\"" 'index($0, start) == 1 && index($0, name) { sum += $NF; found = 1 }
  END { if (found) printf "%.6f", sum }' "$out/metrics"; }
# A number of one service out of the agent's JSON.
number() { tr '{' '\n' | awk -v name="\"name\":\"$1\"" -v key="\"$2\":" 'index($0, name) { mine = 1 }
  mine && (at = index($0, key)) { value = substr($0, at + length(key)); sub(/[,}].*/, "", value); print value; exit }'; }
for_all() { for name in $watched; do docker "$1" "$name" >/dev/null; done; }

containers() { # containers PARENT
  run limited --cpus 0.2 --memory 64m --memory-swap 96m --pids-limit 50 sh -c 'while :; do :; done'
  run writer --memory 64m --volume /srv:/srv:rw \
    sh -c 'while :; do dd if=/dev/zero of=/srv/file bs=64k count=16 conv=fsync 2>/dev/null; sleep 2; done'
  run plain sleep 100000
  run nested --cgroup-parent "$1" sleep 100000
  run hungry --memory 32m sh -c 'sleep 1; tail /dev/zero; while :; do sleep 1; done'
}

mean() { awk -v scale="$2" 'NF { sum += $1; n++ } END { if (n) printf "%.4f", sum / n / scale }' "$1"; }

# What stands still is equal; what moves is compared over a minute.
compare() { # compare WHAT
  say "$1: as the files say, as the agent says"
  group=$(group_of limited)
  for_all unpause
  # Until what the agent shows is all about this load.
  sleep 25
  shown=$out/shown
  : >"$shown"
  : >"$shown.docker"
  from=$(date +%s%N) began=$(field "$group/cpu.stat" usage_usec)
  while [ $((($(date +%s%N) - from) / 1000000000)) -lt $WINDOW ]; do
    docker stats --no-stream --format '{{.CPUPerc}}' limited | tr -d % >>"$shown.docker"
    ask /api/zv/v1/stack | number limited cpu_cores >>"$shown"
    sleep 4
  done
  took=$(($(date +%s%N) - from)) cpu=$(($(field "$group/cpu.stat" usage_usec) - began))
  for_all pause
  # Two rounds later the agent has seen the end.
  sleep 25
  ask /metrics >"$out/metrics"
  for name in $watched; do
    group=$(group_of "$name")
    check "$name cpu, s" "$(seconds "$(field "$group/cpu.stat" usage_usec)")" "$(metric container_cpu_usage_seconds_total "$name")" 0.001
    check "$name cpu system, s" "$(seconds "$(field "$group/cpu.stat" system_usec)")" "$(metric container_cpu_system_seconds_total "$name")" 0.001
    check "$name memory, B" "$(cat "$group/memory.current")" "$(metric container_memory_usage_bytes "$name")" 1
    check "$name memory rss, B" "$(field "$group/memory.stat" anon)" "$(metric container_memory_rss "$name")" 1
    check "$name processes" "$(cat "$group/pids.current")" "$(metric container_threads "$name")" 0
    # A network does not stand still: the kernel itself sends a packet now and then.
    received=$(awk '$1 == "eth0:" { print $2 }' "/proc/$(pid_of "$name")/net/dev")
    check "$name received, B" "$received" "$(metric container_network_receive_bytes_total "$name")" 25
  done
  group=$(group_of limited)
  check 'limited throttled periods' "$(field "$group/cpu.stat" nr_throttled)" "$(metric container_cpu_cfs_throttled_periods_total limited)" 0
  check 'limited memory limit, B' "$(cat "$group/memory.max")" "$(metric container_spec_memory_limit_bytes limited)" 0
  check 'hungry out of memory' "$(field "$(group_of hungry)/memory.events" oom_kill)" "$(metric container_oom_events_total hungry)" 0
  written=$(sed -n 's/.*wbytes=\([0-9]*\).*/\1/p' "$(group_of writer)/io.stat" | awk '{ sum += $1 } END { print sum + 0 }')
  check 'writer written, B' "$written" "$(metric container_fs_writes_bytes_total writer)" 0
  cores=$(awk -v cpu="$cpu" -v took="$took" 'BEGIN { printf "%.4f", cpu * 1000 / took }')
  check 'limited cores: agent shows' "$cores" "$(mean "$shown" 1)" 5
  # It looks at one second at a time, and emulation makes seconds uneven: for the record, not for the verdict.
  check 'limited cores: docker stats' "$cores" "$(mean "$shown.docker" 100)" 100
}

by_unit() {
  url=http://127.0.0.1:9780
  systemctl start zv-agent.service
  wait_for 60 zv ps
  compare "$1, by its unit"
  zv ps >"$out/$1.ps" 2>&1
  echo 'log: { level: debug }' >>/etc/zv/zv.yaml
  systemctl reload zv-agent.service
  if wait_for 30 sh -c 'journalctl -u zv-agent --no-pager --output cat | grep -q log.level'; then
    say '  it reloads its configuration'
  else
    say '  it does not reload its configuration' && faults=$((faults + 1))
  fi
  sed -i '/^log:/d' /etc/zv/zv.yaml
  systemctl is-active --quiet zv-agent.service || { say 'it does not survive a reload' && faults=$((faults + 1)); }
  say "  $(systemd-analyze security --no-pager zv-agent.service | tail -n 1)"
  systemctl show zv-agent.service --property MainPID,MemoryCurrent,CPUUsageNSec,TasksCurrent | tee -a "$out/report"
  ls -ld /var/lib/zv /var/lib/zv/token /run/zv /run/zv/zv.sock >>"$out/report"
  systemctl stop zv-agent.service
  say "  it ends: $(systemctl show zv-agent.service --property Result,ExecMainStatus | tr '\n' ' ')"
  journalctl -u zv-agent --no-pager --output cat >"$out/$1.journal"
}

from_image() {
  url=http://127.0.0.1:9781
  docker image inspect zv-agent >/dev/null 2>&1 || DOCKER_BUILDKIT=0 docker build --quiet --build-arg TARGET=any \
    --build-arg PROFILE=test --file "$here/image/packaging/docker/Dockerfile" --tag zv-agent "$here/image" >/dev/null
  docker run --detach --name agent --pid host --uts host --read-only --cap-drop ALL --security-opt no-new-privileges \
    --group-add "$(stat -c %g /run/docker.sock)" --env "ZV_TOKEN=$TOKEN" --publish 127.0.0.1:9781:9780 --memory 128m \
    --volume /sys/fs/cgroup:/sys/fs/cgroup:ro --volume /run/docker.sock:/var/run/docker.sock zv-agent >/dev/null
  wait_for 60 ask /api/zv/v1/stack
  wait_for 60 docker exec agent /zv-agent check
  say "  the agent's own group as it sees it: $(grep cgroup2 "/proc/$(pid_of agent)/mountinfo" | cut -d ' ' -f 4,5)"
  compare "$1, from its image, in a cgroup namespace of its own"
  docker logs agent >"$out/$1.image.log" 2>&1
}

say "$(uname -srm), $(systemctl --version | head -n 1), $(date -u +%F)"
dpkg --install "$here/zv.deb" >>"$out/dpkg" 2>&1
for driver; do
  start_engine "$driver"
  adduser --quiet zv docker 2>/dev/null
  import_busybox
  if [ "$driver" = systemd ]; then containers shop.slice; else containers /shop; fi
  sleep 5
  for_all pause
  say "Docker $(docker version --format '{{.Server.Version}}'), driver $(docker info --format '{{.CgroupDriver}}'), cgroup v$(docker info --format '{{.CgroupVersion}}')"
  by_unit "$driver"
  from_image "$driver"
  for_all unpause
  stop_engine
done
say "$faults off"
[ "$faults" -eq 0 ]

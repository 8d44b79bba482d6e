#!/usr/bin/env bash
# Builds the agent's image and runs it as compose.yaml says, behind the proxy that only reads and with the socket itself.
set -euo pipefail
cd "$(dirname "$0")/../.."

usage() {
  cat <<'USAGE'
usage: DOCKER_HOST=unix:///PATH packaging/test/docker.sh BINARIES [MAX_MEGABYTES]

BINARIES is the folder with zv and zv-agent. The image may have MAX_MEGABYTES, 17 where nothing is said. Needs the Compose
plugin, curl, and nginx on this machine, from which the proxy's image is made: nothing is pulled.
USAGE
}

binaries=${1:-} limit=${2:-17}
if [[ -z $binaries || $binaries == -* || ${DOCKER_HOST:-} != unix://* ]]; then usage >&2 && exit 2; fi
work=$(mktemp -d)
tag=zv-packaging-$$
export ZV_IMAGE=$tag-agent ZV_PROXY_IMAGE=$tag-proxy ZV_TOKEN=0123456789abcdef0123456789abcdef
export DOCKER_SOCKET=${DOCKER_HOST#unix://} COMPOSE_PROJECT_NAME=$tag
DOCKER_GID=$(stat -c %g "$DOCKER_SOCKET")
export DOCKER_GID
ZV_PORT=$((20000 + $$ % 10000))
export ZV_PORT

compose() { docker compose --file packaging/docker/compose.yaml "$@"; }
finish() {
  docker rm --force --volumes "$tag-web" >/dev/null 2>&1 || true
  compose --profile watch --profile act down --volumes --timeout 5 >/dev/null 2>&1 || true
  docker image rm --force "$ZV_IMAGE" "$ZV_PROXY_IMAGE" >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap finish EXIT
die() {
  printf 'docker.sh: %s\n' "$1" >&2
  compose --profile watch --profile act logs --tail 20 >&2 || true
  exit 1
}
eventually() { # eventually WHAT COMMAND...
  local what=$1 end=$((SECONDS + 60))
  shift
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < end)) || die "gave up waiting: $what"
    sleep 0.2
  done
}

agent_image() {
  local bytes
  mkdir -p "$work/context/target/any/test" "$work/context/packaging"
  cp -r packaging/docker "$work/context/packaging/"
  strip -o "$work/context/target/any/test/zv-agent" "$binaries/zv-agent"
  docker build --quiet --file packaging/docker/Dockerfile --build-arg TARGET=any --build-arg PROFILE=test \
    --tag "$ZV_IMAGE" "$work/context" >/dev/null
  bytes=$(docker image inspect --format '{{.Size}}' "$ZV_IMAGE")
  printf 'docker.sh: the image has %d.%d MB\n' $((bytes / 1000000)) $((bytes / 100000 % 10))
  ((bytes <= limit * 1000000)) || die "the image has more than $limit MB"
}

# An image of this machine's nginx and the libraries it names.
proxy_image() {
  local program file
  program=$(command -v nginx) || die 'nginx is not installed'
  mkdir -p "$work/proxy"/{tmp,etc,usr/sbin,var/lib/nginx,var/log/nginx}
  ldd "$program" | grep -o '/[^ )]*' | while read -r file; do install -D "$file" "$work/proxy$file"; done
  cp "$program" "$work/proxy/usr/sbin/nginx"
  chmod 1777 "$work/proxy/tmp"
  tar -c -C "$work/proxy" . | docker import --change 'ENV PATH=/usr/sbin' - "$ZV_PROXY_IMAGE" >/dev/null
}

api() { # api PATH [OPTION]...: asks the agent
  local path=$1
  shift
  curl -fsS --max-time 10 -H "Authorization: Bearer $ZV_TOKEN" "$@" "http://127.0.0.1:$ZV_PORT$path"
}
zv() { "$binaries/zv" --agent "http://127.0.0.1:$ZV_PORT" "$@"; }
status_is() { zv ps web 2>/dev/null | grep -q "$1"; }
logs_are_read() { zv logs web --tail 5 | grep -q listening; }
death_is_told() { zv why web | grep -q 137; }
is_measured() { api /metrics | grep -q "^container_memory_usage_bytes{.*name=\"$tag-web\""; }
use_is_shown() { api /api/zv/v1/stack | grep -q '"cpu_cores":[0-9]'; }
use_is_kept() { zv why web --json | tr -d ' \n' | grep -q '"stats":\[{'; }
events_come() { { api /api/zv/v1/events --no-buffer --max-time 3 2>/dev/null || true; } | grep -q '^event:'; }

# A container to look at; it sleeps until it is told to end.
start_web() {
  docker run --detach --name "$tag-web" --label com.docker.compose.project=shop --label com.docker.compose.service=web \
    --label com.docker.compose.container-number=1 --label com.docker.compose.oneoff=False --no-healthcheck --network none "$ZV_IMAGE" \
    --listen 127.0.0.1:0 --store /tmp/store >/dev/null
}

up() { # up PROFILE SERVICE
  compose --profile "$1" up --detach --wait --wait-timeout 60 2>"$work/up" || { cat "$work/up" >&2 && die "$1 does not come up"; }
  [[ $(docker inspect --format '{{.State.Health.Status}}' "$tag-$2-1") == healthy ]] || die "$2 is not healthy"
  [[ $(api /api/zv/v1/stack) == *"\"name\":\"$(cat /proc/sys/kernel/hostname)\""* ]] || die "$2 does not know the host's name"
  if curl -fsS "http://127.0.0.1:$ZV_PORT/api/zv/v1/stack" >/dev/null 2>&1; then die "$2 shows itself without a token"; fi
}

proxy_refuses() {
  local address method path code
  address=$(docker inspect --format '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$tag-socket-proxy-1")
  while read -r code method path; do
    [[ $(curl -s --max-time 5 --path-as-is -o /dev/null -w '%{http_code}' -X "$method" "http://$address:2375$path") == "$code" ]] ||
      die "the proxy does not answer $code to $method $path"
  done <<ROUTES
200 GET /_ping
200 GET /v1.41/version
200 GET /containers/json
200 GET /v1.41/containers/$tag-web/json
403 HEAD /containers/$tag-web/archive
403 GET /containers/$tag-web/archive?path=/
403 GET /v1.41/containers/$tag-web/export
403 GET /v1.41/containers/json/../../images/json
403 GET /v1.41/containers/%2e%2e/images/json
403 GET /images/json
403 GET /secrets
403 POST /v1.41/containers/$tag-web/stop
403 POST /containers/create
403 DELETE /containers/$tag-web
403 POST /containers/$tag-web/json
ROUTES
}

agent_image
proxy_image

up watch agent
start_web
eventually 'the agent sees a container start' status_is ok
eventually 'the agent reads logs' logs_are_read
eventually 'the agent measures it' is_measured
eventually 'the agent shows what it uses' use_is_shown
eventually 'the agent passes on events' events_come
proxy_refuses
for action in stop restart; do
  said=$(zv $action web 2>&1) && die "$action works behind a proxy that only reads"
  [[ $said == *"POST /containers/{id}/$action"* ]] || die "$action does not name the right it lacks: $said"
done
docker kill "$tag-web" >/dev/null
eventually 'the agent sees a death' status_is down
eventually 'the agent keeps a record of it' death_is_told
eventually 'the record holds what it used' use_is_kept
compose --profile watch down --timeout 10 >/dev/null 2>&1
docker rm --force "$tag-web" >/dev/null

up act agent-with-socket
eventually 'the store outlives the container' death_is_told
start_web
eventually 'the agent sees a container start' status_is ok
zv stop web >/dev/null 2>&1 || die 'the agent cannot stop a container'
eventually 'it is stopped' status_is stopped
zv start web >/dev/null 2>&1 || die 'the agent cannot start a container'
eventually 'it runs again' status_is ok
printf 'docker.sh: both ways work on Docker %s\n' "$(docker version --format '{{.Server.Version}}')"

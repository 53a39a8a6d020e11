#!/usr/bin/env bash
# Three real flotilla processes on loopback, with certificates.
#   scripts/cluster.sh up|down [--wipe]|status|start ID|kill ID|signal ID NAME|endpoints
# State lives in $FLOTILLA_CLUSTER_DIR (default .cluster at the top of the repository). Node i: UDP 7400+i-1, HTTP 7480+i-1 from $FLOTILLA_BASE_PORT. $FLOTILLA_NODES
# (default 3) is how many. Further flags of serve come from its environment: FLOTILLA_SNAPSHOT_THRESHOLD=64KiB scripts/cluster.sh up.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
dir=${FLOTILLA_CLUSTER_DIR:-$root/.cluster}
base=${FLOTILLA_BASE_PORT:-7400}
nodes=${FLOTILLA_NODES:-3}
bin=$dir/flotilla

peer_port() { echo $((base + $1 - 1)); }
http_port() { echo $((base + 80 + $1 - 1)); }
ids() { seq 1 "$nodes"; }

initial_cluster() {
	local list=() id
	for id in $(ids); do list+=("$id=127.0.0.1:$(peer_port "$id")"); done
	(IFS=,; echo "${list[*]}")
}

endpoints() {
	local list=() id
	for id in $(ids); do list+=("127.0.0.1:$(peer_port "$id")"); done
	(IFS=,; echo "${list[*]}")
}

usage() {
	sed -n '2,5p' "$0" | sed 's/^# //'
}

node() { # node ID: refuses what is none
	ids | grep -qx -- "$1" || { echo "no node $1: 1 to $nodes" >&2; exit 2; }
}

alive() { [ -f "$dir/$1.pid" ] && kill -0 "$(cat "$dir/$1.pid")" 2>/dev/null; }

build() {
	mkdir -p "$dir"
	(cd "$root" && go build -o "$bin" ./cmd/flotilla)
	[ -f "$dir/ca/ca.crt" ] || {
		"$bin" cert init --out "$dir/ca"
		for id in $(ids); do
			"$bin" cert node --ca "$dir/ca" --node-id "$id" --host 127.0.0.1,localhost --out "$dir/tls-$id"
		done
		"$bin" cert client --ca "$dir/ca" --out "$dir/tls-client"
	} >/dev/null
}

start() {
	local id=$1
	alive "$id" && return
	: >"$dir/$id.out"
	nohup "$bin" serve --node-id "$id" --data "$dir/node-$id" --tls-dir "$dir/tls-$id" \
		--listen "127.0.0.1:$(peer_port "$id")" --http "127.0.0.1:$(http_port "$id")" \
		--initial-cluster "$(initial_cluster)" >>"$dir/$id.out" 2>>"$dir/$id.log" </dev/null &
	echo $! >"$dir/$id.pid"
}

wait_ready() {
	local id=$1 deadline=$((SECONDS + ${2:-30}))
	until grep -q '^ready ' "$dir/$id.out"; do
		alive "$id" || { echo "node $id died; its last words:" >&2; tail -5 "$dir/$id.log" >&2; return 1; }
		[ "$SECONDS" -lt "$deadline" ] || { echo "node $id not ready in time; see $dir/$id.log" >&2; return 1; }
		sleep 0.05
	done
}

stop() { # stop ID SIGNAL
	alive "$1" || return 0
	local pid; pid=$(cat "$dir/$1.pid")
	kill "-$2" "$pid" 2>/dev/null || true
	while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
}

case "${1:-} $#" in # the command and how many words there are
"up 1" | "down "[12] | "status "* | "start 2" | "kill 2" | "signal 3" | "endpoints 1") ;;
"--help 1" | "-h 1") usage; exit ;;
*) usage >&2; exit 2 ;;
esac
case "$1" in
up)
	build
	for id in $(ids); do start "$id"; done
	for id in $(ids); do wait_ready "$id"; cat "$dir/$id.out"; done
	# Flags, not exports: FLOTILLA_TLS_DIR would name the certificate of a serve started in the same shell too.
	echo "try: $bin kv put greeting hello --endpoints $(endpoints) --tls-dir $dir/tls-client"
	;;
down)
	[ "${2:---wipe}" = --wipe ] || { usage >&2; exit 2; }
	for id in $(ids); do stop "$id" TERM; done
	[ "${2:-}" != --wipe ] || rm -rf "$dir"
	;;
status)
	[ -x "$bin" ] || { echo "no cluster in $dir: scripts/cluster.sh up" >&2; exit 1; }
	"$bin" status --endpoints "$(endpoints)" --tls-dir "$dir/tls-client" "${@:2}"
	;;
start) node "$2"; start "$2"; wait_ready "$2" ;;
kill) node "$2"; stop "$2" KILL ;;
signal)
	node "$2"
	alive "$2" || { echo "node $2 is not running" >&2; exit 1; }
	kill "-$3" "$(cat "$dir/$2.pid")"
	;;
endpoints) endpoints ;;
esac

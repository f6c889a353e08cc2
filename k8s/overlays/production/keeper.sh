#!/bin/sh
# Beside each Redis node: makes a cluster of the nodes when they are all new, and introduces them to each other again when pods have
# come back with other addresses. NODES are their names, the first makes the cluster; SELF is this node's; REPLICAS of each master.
set -u
REDISCLI_AUTH=$(cat "${PASSWORD_FILE:-/etc/redis-users/keeper}")
export REDISCLI_AUTH
port=${PORT:-6379}

redis() { # redis HOST COMMAND…
  host=$1
  shift
  timeout 5 redis-cli --user keeper --no-auth-warning -h "$host" -p "$port" "$@"
}
address() { getent ahosts "$1" | awk '{ print $1; exit }'; }
value() { printf '%s\n' "$1" | tr -d '\r' | sed -n "s/^$2://p"; }

# A node that knows nobody and holds nothing, by what it says of itself.
new() { [ "$(value "$1" cluster_known_nodes)" = 1 ] && [ "$(value "$1" cluster_slots_assigned)" = 0 ]; }

create() {
  all=
  for node in $NODES; do
    new "$(redis "$node" cluster info)" || return 0
    all="$all $(address "$node"):$port"
  done
  # shellcheck disable=SC2086 # words
  redis-cli --user keeper --no-auth-warning --cluster create $all --cluster-replicas "$REPLICAS" --cluster-yes
}

introduce() {
  for node in $NODES; do
    [ "$node" = "$SELF" ] || redis "$SELF" cluster meet "$(address "$node")" "$port" >/dev/null
  done
}

turn() {
  info=$(redis "$SELF" cluster info) || return 0
  # shellcheck disable=SC2086 # words
  set -- $NODES
  if new "$info"; then
    [ "$SELF" != "$1" ] || create
  elif [ "$(value "$info" cluster_known_nodes)" -lt $# ] ||
    redis "$SELF" cluster nodes | grep -v myself | grep -q -e fail -e handshake -e noaddr -e ' disconnected'; then
    introduce
  fi
}

while :; do
  turn
  sleep "${PAUSE:-5}"
done

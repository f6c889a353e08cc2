#!/bin/sh
# Beside each Redis node: makes a cluster of the nodes when they are all new, introduces them to each other again when pods have come
# back with other addresses, and makes one that came back empty a replica. NODES are their names, the first makes the cluster; SELF is this node's; REPLICAS of each master.
# With arguments: asks its node that, once.
set -u
REDISCLI_AUTH=$(cat "${PASSWORD_FILE:-/etc/redis-users/keeper}")
export REDISCLI_AUTH
port=${PORT:-6379}
tls=${TLS-/etc/redis-tls} # where the certificates are; empty: without TLS
certificates=

client() { # client SECONDS ARG…
  limit=$1
  shift
  set -- --user keeper --no-auth-warning "$@"
  [ -z "$tls" ] || set -- --tls --cacert "$tls/ca.crt" "$@"
  timeout "$limit" redis-cli "$@"
}

redis() { # redis HOST COMMAND…
  host=$1
  shift
  client 5 -h "$host" -p "$port" "$@"
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
  client 120 --cluster create $all --cluster-replicas "$REPLICAS" --cluster-yes
}

introduce() {
  for node in $NODES; do
    [ "$node" = "$SELF" ] || redis "$SELF" cluster meet "$(address "$node")" "$port" >/dev/null
  done
}

# Who is lost for good: as many others are well as there are nodes. Redis itself gives the slots of one that does not answer to its
# replica, but not of one in whose place an empty node answers; here its replica asks for them. Then it is forgotten.
bury() {
  printf '%s\n' "$seen" | awk -v wanted=$# '
    $3 !~ /fail|handshake|noaddr/ { well++ }
    $3 ~ /myself/ { master = $4 }
    $3 ~ /noaddr|fail/ && $3 !~ /fail[?]/ { lost[$1] = NF > 8 }
    END { if (well == wanted) for (id in lost) if (!lost[id]) print "forget", id; else if (id == master) print "failover force" }' |
    while read -r verb word; do redis "$SELF" cluster "$verb" "$word"; done
}

# A node that came back empty is a master without slots, and stays one, unlike those of a cluster that is being made: it becomes the
# replica of a master that has none.
idle=0
serve() {
  idle=$((idle + 1))
  printf '%s\n' "$seen" | awk '$3 ~ /myself/ && $3 ~ /master/ && NF == 8 { found = 1 } END { exit !found }' || idle=0
  [ "$idle" -gt 3 ] || return 0
  id=$(printf '%s\n' "$seen" | awk '
    $3 ~ /fail|handshake|noaddr/ { next }
    $3 ~ /slave/ { served[$4] }
    $3 ~ /master/ && NF > 8 { masters[$1] }
    END { for (id in masters) if (!(id in served)) { print id; exit } }')
  [ -z "$id" ] || redis "$SELF" cluster replicate "$id"
}

# A replica that heard its master's new address from others, and not from the master itself, goes on asking at the old one, for good
# (https://github.com/redis/redis/issues/14633). Told again whose replica it is, it asks at the new one.
follow() {
  printf '%s\n' "$seen" | grep -q 'myself,slave' || return 0
  asks=$(redis "$SELF" info replication) || return 0
  [ "$(value "$asks" master_link_status)" = down ] || return 0
  id=$(printf '%s\n' "$seen" | awk -v asked="$(value "$asks" master_host)" '
    { address[$1] = $2; sub(/:[0-9]+@.*/, "", address[$1]); well[$1] = $3 !~ /fail|handshake|noaddr/ }
    $3 ~ /myself/ { master = $4 }
    END { if (well[master] && address[master] != asked) print master }')
  [ -z "$id" ] || redis "$SELF" cluster replicate "$id"
}

# A node reads its certificates again when it is told to.
renew() {
  now=$(cat "$tls/tls.crt" "$tls/ca.crt" | sha256sum)
  [ "$now" != "$certificates" ] || return 0
  [ "$(redis "$SELF" config set tls-cert-file "$tls/tls.crt" tls-key-file "$tls/tls.key" tls-ca-cert-file "$tls/ca.crt")" = OK ] || return 0
  certificates=$now
  echo "the node has the certificates of $tls"
}

turn() {
  info=$(redis "$SELF" cluster info) || return 0
  [ -z "$tls" ] || renew
  # shellcheck disable=SC2086 # words
  set -- $NODES
  if new "$info"; then
    [ "$SELF" != "$1" ] || create
    return 0
  fi
  seen=$(redis "$SELF" cluster nodes) || return 0
  if [ "$(value "$info" cluster_known_nodes)" -lt $# ] ||
    printf '%s\n' "$seen" | grep -v myself | grep -q -e fail -e handshake -e noaddr -e ' disconnected'; then
    introduce
  fi
  bury "$@"
  serve
  follow
}

if [ $# -gt 0 ]; then
  redis "$SELF" "$@"
  exit
fi
trap 'exit 0' TERM # the first process of a container ends by no signal that it does not take; its pod would take a minute to go
while :; do
  turn
  sleep "${PAUSE:-5}" &
  wait $!
done

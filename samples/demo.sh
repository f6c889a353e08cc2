#!/usr/bin/env bash
# ./dev demo: the whole way on this machine, with nothing left behind: an in-memory Kafka broker, a private Redis, a consumer, the sample, a
# live stream, and the page at an address that it prints (--watch: the totals move in this terminal too; --once: they are printed, no more).
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

once='' watch=''
case ${1:-} in
  '') ;;
  --once) once=1 ;;
  --watch) watch=1 ;;
  *)
    echo "Usage: ./dev demo [--once|--watch]" >&2
    exit 2
    ;;
esac

bin=${CITYTOTALS_BUILD:-$PWD/build/release}
directory=$(mktemp -d "${TMPDIR:-/tmp}/citytotals-demo.XXXXXX")
children=()

# Children end in the opposite order of their start; each is known by its process id.
finish() {
  local status=$? index
  trap '' INT TERM HUP
  for ((index = ${#children[@]} - 1; index >= 0; index--)); do
    kill "${children[index]}" 2>/dev/null || true
    wait "${children[index]}" 2>/dev/null || true
  done
  rm -rf "$directory"
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

wait_for() { # wait_for WHAT LOG COMMAND…: try a command for at most 30 s
  local what=$1 log=$2 deadline=$((SECONDS + 30))
  shift 2
  until "$@" >/dev/null 2>&1; do
    if [ $SECONDS -ge $deadline ]; then
      echo "demo: $what did not start:" >&2
      tail -20 "$log" >&2
      exit 1
    fi
    sleep 0.1
  done
}

start_redis() { # on a port that is free now; another one if somebody takes it first
  local try
  for try in 1 2 3 4 5; do
    port=$((20000 + RANDOM % 20000))
    redis-server --port "$port" --bind 127.0.0.1 --dir "$directory" --save '' --appendonly no --daemonize no \
      >"$directory/redis.log" 2>&1 &
    redis=$!
    for _ in $(seq 100); do
      if grep -q 'Ready to accept connections' "$directory/redis.log"; then
        children+=("$redis")
        return
      fi
      kill -0 "$redis" 2>/dev/null || break
      sleep 0.05
    done
    kill "$redis" 2>/dev/null || true
    wait "$redis" 2>/dev/null || true
  done
  echo "demo: redis-server did not start in $try tries:" >&2
  tail -20 "$directory/redis.log" >&2
  exit 1
}

# The broker serves as long as its standard input stays open.
mkfifo "$directory/broker.in"
"$bin/tests/tools/mock-kafka" haiphong 4 <"$directory/broker.in" >"$directory/broker.out" 2>"$directory/broker.log" &
children+=($!)
exec 3>"$directory/broker.in"
start_redis
wait_for "the broker" "$directory/broker.log" grep -q '^brokers ' "$directory/broker.out"

CITYTOTALS_BROKERS=$(sed -n 's/^brokers //p' "$directory/broker.out")
export CITYTOTALS_BROKERS CITYTOTALS_REDIS=redis://127.0.0.1:$port CITYTOTALS_CITY=haiphong

cat <<TEXT
citytotals demo. The broker is librdkafka's mock cluster: it lives in memory, keeps only the latest megabytes and stamps no records
(their timestamps are the sender's). It is for trying out only. On your own Kafka and Redis:
  citytotals-producer send --create-topics -b HOST:9092 samples/haiphong-2020-10-30.ndjson
  citytotals-consumer run -b HOST:9092 --redis redis://HOST:6379
  citytotals-query print --watch -b HOST:9092 --redis redis://HOST:6379

TEXT

"$bin/producer/citytotals-producer" send samples/haiphong-2020-10-30.ndjson
if [ -n "$once" ]; then
  "$bin/consumer/citytotals-consumer" run --until-end --log-level error
  "$bin/query/citytotals-query" print --log-level error
  exit 0
fi

"$bin/consumer/citytotals-consumer" run >"$directory/consumer.log" 2>&1 3>&- &
children+=($!)
mkfifo "$directory/live"
"$bin/producer/citytotals-producer" send --block-lines 1 --log-level error <"$directory/live" >"$directory/send.log" 2>&1 3>&- &
children+=($!)
python3 samples/live.py >"$directory/live" 3>&- &
children+=($!)
wait_for "the consumer" "$directory/consumer.log" grep -q ' assigned ' "$directory/consumer.log"
"$bin/query/citytotals-query" serve --listen 127.0.0.1:0 --agencies data/haiphong-agencies.csv >"$directory/serve.log" 2>&1 3>&- &
children+=($!)
wait_for "the page" "$directory/serve.log" grep -q 'listening http ' "$directory/serve.log"
page=http://$(sed -n 's/.*listening http \([^ ]*\).*/\1/p' "$directory/serve.log")/
if [ -n "$watch" ]; then
  printf 'The live page: %s\n' "$page"
  # In the background, so that a signal is dealt with at once; it gets the terminal's own input and output.
  "$bin/query/citytotals-query" print --watch --log-level error <&0 3>&- &
  children+=($!)
  wait $!
  exit
fi
"$bin/query/citytotals-query" print --log-level error 3>&-
cat <<TEXT

The live page:  $page
In a terminal:  $bin/query/citytotals-query print --watch --redis $CITYTOTALS_REDIS -b $CITYTOTALS_BROKERS
Ctrl-C ends the demo and leaves nothing behind.
TEXT
if [ -t 1 ] && [ -n "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ] && command -v xdg-open >/dev/null; then
  xdg-open "$page" >/dev/null 2>&1 3>&- || true
fi
wait -n "${children[@]}" || true
echo "demo: a part of it has ended; $directory is removed" >&2
tail -n 5 "$directory"/*.log >&2
false # its exit status

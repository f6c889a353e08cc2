#!/usr/bin/env bash
# build.sh OUT CACHE: as the other one, what a cluster has beside Kubernetes. Apart, so that neither is built again for the other.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"
export GOMODCACHE=$2/modules GOCACHE=$2/objects CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS="-mod=readonly -buildvcs=false -modcacherw"

mkdir -p "$1" "$2"
go build -trimpath -ldflags "-s -w" -o "$1/" sigs.k8s.io/metrics-server/cmd/metrics-server ./policies
[ -n "${CITYTOTALS_KEEP_GO_CACHE:-}" ] || rm -rf "$2"

#!/usr/bin/env bash
# build.sh OUT CACHE: builds the programs of a Kubernetes cluster, and what it has beside Kubernetes, from their Go modules, pinned by
# go.mod and go.sum, into OUT. One module, so that what they share is compiled once.
# CACHE takes the modules and what is compiled, some 4 GiB, and is removed when all is built: OUT is what is kept.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"
out=$1
export GOMODCACHE=$2/modules GOCACHE=$2/objects CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS="-mod=readonly -buildvcs=false -modcacherw"

version=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
minor=${version#v1.}
package=k8s.io/component-base/version
flags="-s -w -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=${minor%%.*} -X $package.gitTreeState=clean"
flags+=" -X $package.gitCommit=0000000000000000000000000000000000000000 -X $package.buildDate=1970-01-01T00:00:00Z"

mkdir -p "$out" "$2"
programs=(kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl)
GOGC=400 go build -trimpath -ldflags "$flags" -o "$out/" "${programs[@]/#/k8s.io/kubernetes/cmd/}" \
  sigs.k8s.io/metrics-server/cmd/metrics-server ./dns ./policies
[ -n "${CITYTOTALS_KEEP_GO_CACHE:-}" ] || rm -rf "$2"

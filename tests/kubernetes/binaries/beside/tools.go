//go:build tools

// Package tools names the programs that build.sh builds, so that go.mod and go.sum pin all that is in them.
package tools

import _ "sigs.k8s.io/metrics-server/cmd/metrics-server"

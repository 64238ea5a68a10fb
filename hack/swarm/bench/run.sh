#!/bin/bash
# run.sh [flags] - compares peerage-swarm with GoBGP and ExaBGP on loopback, and
# writes hack/bench/results/swarm.{json,md}. Flags are those of the program, as
# in: run.sh -sizes 200 -hold 10s -results ""
set -euo pipefail
cd "$(dirname "$0")/../../.."

gobgp=v4.8.0

hack/lab/install.sh swarm
tools=$PWD/.cache/bin/gobgp-$gobgp
mkdir -p bin
export CGO_ENABLED=0
[ -x "$tools/gobgpd" ] || GOBIN=$tools go install github.com/osrg/gobgp/v4/cmd/gobgpd@$gobgp
go build -trimpath -ldflags '-s -w' -o bin/ ./hack/swarm/cmd/peerage-swarm ./hack/swarm/bench/cmd/peerage-swarm-bench
exec bin/peerage-swarm-bench -tools "$tools" "$@"

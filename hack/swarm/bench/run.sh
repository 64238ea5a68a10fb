#!/bin/bash
# run.sh [flags] - compares peerage-swarm with GoBGP and ExaBGP on loopback, and
# writes hack/bench/results/swarm.{json,md}. Flags are those of the program, as
# in: run.sh -sizes 200 -hold 10s -results ""
set -euo pipefail
cd "$(dirname "$0")/../../.."

gobgp=v4.8.0

hack/lab/install.sh swarm
mkdir -p bin .cache/bin
export CGO_ENABLED=0
# The stamp names the version: another one is built anew.
if [ ! -x .cache/bin/gobgpd ] || [ "$(cat .cache/bin/gobgpd.version 2>/dev/null)" != $gobgp ]; then
  GOBIN=$PWD/.cache/bin go install github.com/osrg/gobgp/v4/cmd/gobgpd@$gobgp
  echo $gobgp >.cache/bin/gobgpd.version
fi
go build -trimpath -ldflags '-s -w' -o bin/ ./hack/swarm/cmd/peerage-swarm ./hack/swarm/bench/cmd/peerage-swarm-bench
exec nice bin/peerage-swarm-bench "$@"

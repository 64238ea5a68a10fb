#!/bin/bash
# run.sh [flags] - compares BGP speakers on loopback, and writes
# hack/bench/results/speaker.{json,md} and docs/performance.md. Flags are those
# of the program, as in: run.sh -work reflect -engines bird,frr -rounds 1 -results "" -docs ""
# With all works, and five minutes for the slow ones, it takes some hours.
set -euo pipefail
cd "$(dirname "$0")/../../.."

# The newest GoBGP that does the work: in those after it some feed of ten that
# announce at the same time is not read to its end.
gobgp=v4.3.0

hack/lab/install.sh speaker
mkdir -p bin .cache/gobgp-$gobgp
export CGO_ENABLED=0
[ -x .cache/gobgp-$gobgp/gobgpd ] || GOBIN=$PWD/.cache/gobgp-$gobgp go install github.com/osrg/gobgp/v4/cmd/gobgpd@$gobgp
go build -trimpath -ldflags '-s -w' -o bin/ ./hack/bench/speaker/cmd/peerage-speaker-bench
exec bin/peerage-speaker-bench -tools .cache/gobgp-$gobgp -docs docs "$@"

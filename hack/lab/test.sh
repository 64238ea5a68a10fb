#!/bin/bash
# test.sh [-run REGEXP] [PACKAGE...] - runs tests that need a real kernel.
# Their packages use hack/lab/labtest; all of them by default. The tests are
# compiled here and run in the lab in one boot, each in its package's folder.
set -euo pipefail
here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
repo=$(cd "$here/../.." && pwd)
cd "$repo"

flags=(-test.timeout=10m)
while [ $# -gt 0 ]; do
  case $1 in
    -run) flags+=(-test.run="$2"); shift 2 ;;
    -v) flags+=(-test.v); shift ;;
    -*) echo "test.sh: unknown flag $1" >&2; exit 2 ;;
    *) break ;;
  esac
done

packages=("$@")
if [ ${#packages[@]} = 0 ]; then
  module=$(go list -m)
  mapfile -t packages < <(grep -rl --include='*_test.go' --exclude-dir=.cache "\"$module/hack/lab/labtest\"" . | xargs -r -n1 dirname | sort -u)
fi
[ ${#packages[@]} -gt 0 ] || { echo "test.sh: no package uses hack/lab/labtest" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
{
  echo 'failed=0'
  for p in "${packages[@]}"; do
    binary=$work/$(echo "${p#./}" | tr / -).test
    CGO_ENABLED=0 go test -c -o "$binary" "$p" >&2
    dir=$(go list -f '{{.Dir}}' "$p")
    printf 'cd %q && { %q %s && echo "ok   %s" || { echo "FAIL %s"; failed=1; }; }\n' "$dir" "$binary" "$(printf '%q ' "${flags[@]}")" "$p" "$p"
  done
  echo 'exit $failed'
} >"$work/run"
"$here/vm.sh" bash "$work/run"

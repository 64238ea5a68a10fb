#!/bin/bash
# install.sh [lab] [bench] [unit] [swarm] [speaker] - installs the Debian packages that the lab, the
# benchmarks and the race detector need. Does nothing, quickly, when they are there. Needs root only
# when something is missing. Never leaves a daemon running on this machine.
set -euo pipefail

lab=(qemu-system-x86 bird2 frr ipvsadm iproute2 iptables busybox-static cpio kmod xz-utils procps)
bench=(keepalived strace)
unit=(gcc libc6-dev bird2)
swarm=(bird2 exabgp)
speaker=(bird2 frr openbgpd)

packages=()
for group in "${@:-lab}"; do
  case $group in
    lab) packages+=("${lab[@]}") ;;
    bench) packages+=("${bench[@]}") ;;
    unit) packages+=("${unit[@]}") ;;
    swarm) packages+=("${swarm[@]}") ;;
    speaker) packages+=("${speaker[@]}") ;;
    *) echo "install.sh: group '$group' is not known; the groups are lab, bench, unit, swarm, speaker" >&2; exit 2 ;;
  esac
done

installed() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

missing=()
for p in "${packages[@]}"; do installed "$p" || missing+=("$p"); done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ]; then
  echo "install.sh: missing packages: ${missing[*]}; run this as root, or: apt-get install --no-install-recommends ${missing[*]}" >&2
  exit 1
fi
echo "installing ${missing[*]}" >&2

# A package must not start its daemon here: a stray BIRD or keepalived would
# speak for this machine. policy-rc.d refuses that while apt-get works, and the
# units are disabled so that the next boot does not start them either.
policy=/usr/sbin/policy-rc.d
ours=
if [ ! -e $policy ]; then
  printf '#!/bin/sh\nexit 101\n' >$policy
  chmod 755 $policy
  ours=1
fi
cleanup() { [ -z "$ours" ] || rm -f $policy; }
trap cleanup EXIT

apt() { DEBIAN_FRONTEND=noninteractive apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120 "$@"; }
log=$(mktemp)
get() { apt install -y --no-install-recommends "${missing[@]}" >"$log" 2>&1; }
# The lists may be absent (fresh image) or name versions that are gone.
if ! get; then
  apt update >>"$log" 2>&1 || true
  get || { cat "$log" >&2; rm -f "$log"; echo "install.sh: apt-get could not install ${missing[*]}" >&2; exit 1; }
fi
rm -f "$log"

if command -v systemctl >/dev/null; then
  for unit in bird keepalived ipvsadm exabgp frr openbgpd; do
    case " ${missing[*]} " in *" $unit "* | *" ${unit}2 "*) systemctl -q disable "$unit.service" 2>/dev/null || true ;; esac
  done
fi

#!/bin/bash
# vm.sh COMMAND [ARGUMENT...] - runs a command where the kernel has IPVS and the
# network is nobody else's, and exits with its exit code.
#
# That is a QEMU guest (software emulation is enough) that sees this machine's
# files at the same paths, read-only under a throw-away overlay; or, where this
# machine's own kernel has ip_vs, fresh network, mount and PID namespaces.
# The command starts in the repository's root with PEERAGE_LAB=1. Only what it
# writes into $LAB_OUT outlives it.
#
#   LAB_MODE=auto|host|vm   where to run (default auto)
#   LAB_OUT=DIR             folder for results (default: a new one in .cache/lab/out, removed when left empty)
#   LAB_TIMEOUT=SECONDS     bound on the whole run (default 900; 0: none)
#   LAB_INTERACTIVE=1       give the command this terminal
#   LAB_PARALLEL=1          do not wait for another guest of this repository to end
#   LAB_CPUS=N LAB_MEMORY=MIB   size of the guest (default 2, 4096)
#   LAB_ACCEL=tcg|kvm       default kvm where it works, else tcg
# Variables whose names begin with PEERAGE_ or LAB_ are handed on.
set -euo pipefail
here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
repo=$(cd "$here/../.." && pwd)
cache=$repo/.cache/lab
[ $# -gt 0 ] || { sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2; }
case $repo in *[[:space:],]*) echo "vm.sh: the path $repo has a blank or a comma, which the guest's command line cannot carry: move the repository" >&2; exit 2 ;; esac

mode=${LAB_MODE:-auto}
if [ "$mode" = auto ]; then
  mode=vm
  if [ "$(id -u)" = 0 ] && { [ -e /proc/net/ip_vs ] || modprobe -q ip_vs 2>/dev/null; }; then mode=host; fi
fi
case $mode in host | vm) ;; *) echo "vm.sh: LAB_MODE=$mode: want auto, host or vm" >&2; exit 2 ;; esac

"$here/install.sh" lab

mkdir -p "$cache/out"
made=
if [ -z "${LAB_OUT:-}" ]; then
  LAB_OUT=$(mktemp -d "$cache/out/run.XXXXXX")
  made=1
fi
mkdir -p "$LAB_OUT"
LAB_OUT=$(cd "$LAB_OUT" && pwd)
[ ! -t 1 ] || export LAB_TERMINAL=1
export LAB_OUT PEERAGE_LAB=1 PEERAGE_LAB_MODE=$mode
control=$(mktemp -d "$LAB_OUT/.lab.XXXXXX")
tidy() {
  rm -rf "$control"
  [ -z "$made" ] || rmdir "$LAB_OUT" 2>/dev/null || true
  [ -z "${tty:-}" ] || stty "$tty"
}
trap tidy EXIT

{
  for v in ${!PEERAGE_*} ${!LAB_*}; do declare -p "$v" | sed 's/^declare -[a-z-]* /export /'; done
  [ -z "${LAB_INTERACTIVE:-}" ] || printf 'export TERM=%q\nstty rows %s cols %s 2>/dev/null\n' "${TERM:-dumb}" $(stty size 2>/dev/null || echo 24 80)
  printf 'cd %q && exec' "$repo"
  printf ' %q' "$@"
  echo
} >"$control/command"

timeout=${LAB_TIMEOUT:-900}
bounded=(timeout --foreground -k 5 "$timeout")

if [ "$mode" = host ]; then
  # /run is replaced so that namespaces' names and daemons' sockets are ours.
  set +e
  "${bounded[@]}" unshare --mount --net --pid --fork --kill-child --mount-proc --propagation private /bin/bash -c '
    mount -t tmpfs tmpfs /run && mkdir -p /run/netns && mount -t sysfs sys /sys && ip link set lo up || exit
    # /dev/log may lead into the /run that was replaced; a socket elsewhere is the machine'"'"'s own.
    if [ -L /dev/log ]; then mkdir -p "$(dirname "$(readlink -m /dev/log)")" && busybox syslogd -O /run/messages; fi
    /bin/bash "$1"
    exit $?' lab "$control/command"
  exit $?
fi

# Two emulated guests on one machine starve each other: BFD and health checks
# time out, and the results say nothing. So they take turns.
if [ -z "${LAB_PARALLEL:-}" ]; then
  exec 9>"$cache/turn"
  flock -n 9 || { echo "vm.sh: another guest of this repository runs; waiting for it (LAB_PARALLEL=1 does not)" >&2; flock 9; }
fi
"$here/guest/build.sh" "$cache"
accel=${LAB_ACCEL:-tcg}
if [ -z "${LAB_ACCEL:-}" ] && [ -w /dev/kvm ] && grep -qwE 'vmx|svm' /proc/cpuinfo; then accel=kvm; fi
case $accel in
  tcg) accel=(-accel tcg,thread=multi,tb-size=512 -cpu max) ;;
  kvm) accel=(-accel kvm -cpu host) ;;
  *) echo "vm.sh: LAB_ACCEL=$accel: want tcg or kvm" >&2; exit 2 ;;
esac
# The guest's TSC is this machine's. Measured while the machine is busy, its
# frequency can come out wrong by far, and the guest's clock with it (10× has been
# seen). In a virtual machine /proc/cpuinfo tells it exactly.
tsc=
if grep -qw hypervisor /proc/cpuinfo; then tsc="tsc_early_khz=$(awk -F': *' '/^cpu MHz/{printf "%.0f", $2 * 1000; exit}' /proc/cpuinfo)"; fi
qemu=(qemu-system-x86_64 "${accel[@]}" -M q35 -smp "${LAB_CPUS:-2}" -m "${LAB_MEMORY:-4096}"
  -nodefaults -no-user-config -display none -no-reboot -nic none
  -kernel "$cache/vmlinux" -initrd "$cache/initrd"
  -append "console=ttyS0 quiet mitigations=off nokaslr no_timer_check tsc=reliable $tsc random.trust_cpu=on panic=-1 audit=0 lab.cache=$cache lab.out=$LAB_OUT lab.control=$control lab.stage2=$here/guest/stage2.sh"
  -chardev stdio,id=console,signal=off -serial chardev:console
  -device isa-debug-exit,iobase=0x501,iosize=0x02
  -fsdev local,id=host,path=/,security_model=none,readonly=on,multidevs=remap -device virtio-9p-pci,fsdev=host,mount_tag=host
  -fsdev local,id=out,path="$LAB_OUT",security_model=none -device virtio-9p-pci,fsdev=out,mount_tag=out)

set +e
if [ -n "${LAB_INTERACTIVE:-}" ]; then
  touch "$control/interactive"
  tty=$(stty -g 2>/dev/null)
  "${bounded[@]}" "${qemu[@]}"
else
  "${bounded[@]}" "${qemu[@]}" </dev/null
fi
rc=$?
[ $rc -ne 124 ] && [ $rc -ne 137 ] || { echo "vm.sh: not finished after $timeout s (LAB_TIMEOUT)" >&2; exit 124; }
if [ -s "$control/exit" ]; then exit "$(<"$control/exit")"; fi
echo "vm.sh: the guest ended without an exit code (qemu: $rc)" >&2
exit 125

#!/bin/bash
# Stage 2, PID 1 on the guest's root: runs the command that vm.sh wrote into the
# shared folder, leaves its exit code there, and switches the machine off.
control=
for a in $(</proc/cmdline); do case $a in lab.control=*) control=${a#*=} ;; esac; done
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/go/bin HOME=/root TERM=dumb LC_ALL=C.UTF-8
hostname lab
ip link set lo up
dmesg -n 1
# Nothing in the lab is worth a file system's or a network's patience.
sysctl -q -w kernel.panic_on_oops=1 net.ipv4.neigh.default.gc_thresh3=8192 net.ipv6.neigh.default.gc_thresh3=8192

# Who logs to syslog, such as a BIRD without a log file, would write to the console.
busybox syslogd -O /run/messages

if [ -e "$control/interactive" ]; then
  stty -F /dev/ttyS0 sane
  setsid -c -w /bin/bash "$control/command" </dev/ttyS0 >/dev/ttyS0 2>&1
else
  stty -F /dev/ttyS0 raw -echo
  /bin/bash "$control/command" </dev/null
fi
rc=$?
echo $rc >"$control/exit"
sync
# isa-debug-exit ends QEMU at once; power-off is the way of a machine without it.
printf '\0' | dd of=/dev/port bs=1 seek=$((0x501)) count=1 2>/dev/null
echo o >/proc/sysrq-trigger
sleep 10

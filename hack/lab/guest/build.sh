#!/bin/bash
# build.sh CACHE - puts everything a guest boots from into the folder CACHE:
# Debian's kernel (downloaded, unpacked, never installed), its uncompressed
# image, the modules, and a small initramfs. Cheap when it is all there.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cache=$1
mkdir -p "$cache"
cd "$cache"

stamp=$(cat "$here/build.sh" "$here/init" | sha256sum | cut -c1-16)
[ "$(cat stamp 2>/dev/null)" = "$stamp" ] && exit 0

# Several runs may find the cache empty at once: one of them fills it.
exec 9>lock
flock 9
[ "$(cat stamp 2>/dev/null)" = "$stamp" ] && exit 0
echo "lab: preparing the guest in $cache (once)" >&2

# 1. The kernel. The cloud flavour has no 9p, so the plain one it must be.
if [ ! -s version ]; then
  rm -rf root ./*.deb
  find_package() { apt-cache depends linux-image-amd64 2>/dev/null | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -1; }
  package=$(find_package)
  if [ -z "$package" ] || ! apt-get -qq download "$package" 2>/dev/null; then
    apt-get -qq update >/dev/null 2>&1 || true
    package=$(find_package)
    [ -n "$package" ] || { echo "lab: apt knows no linux-image-amd64: is this Debian on amd64, with its archive in sources.list?" >&2; exit 1; }
    apt-get -qq download "$package"
  fi
  dpkg-deb -x "$package"_*.deb root
  rm -f ./*.deb
  version=${package#linux-image-}
  # What no namespace needs; it only makes depmod slow.
  (cd "root/lib/modules/$version/kernel" && rm -rf sound drivers/{gpu,media,infiniband,scsi,staging,iio,hid,input,usb,mmc,mtd,platform,hwmon})
  depmod -b root "$version"
  echo "$version" >version
fi
version=$(cat version)

# 2. The uncompressed image: QEMU starts it directly (PVH), which spares the
# emulated decompression. The setup header says where the payload lies
# (Documentation/x86/boot.rst: setup_sects, payload_offset, payload_length).
if [ ! -s vmlinux ]; then
  image=root/boot/vmlinuz-$version
  number() { od -An -t"u$2" -j"$1" -N"$2" "$image" | tr -d ' '; }
  offset=$((($(number 0x1f1 1) + 1) * 512 + $(number 0x248 4)))
  length=$(number 0x24c 4)
  head -c $((offset + length)) "$image" | tail -c "$length" | xz -dc --single-stream >vmlinux.new
  mv vmlinux.new vmlinux
fi

# 3. The initramfs: busybox and the modules that mount the host's root.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{bin,dev,proc,sys,ro,rw,new,lib/modules/"$version"}
cp "$(command -v busybox)" "$work/bin/busybox"
install -m755 "$here/init" "$work/init"
for m in virtio_pci 9pnet_virtio 9p overlay; do
  modprobe -S "$version" -d root --show-depends $m | sed -n 's/^insmod //p'
done | sort -u | while read -r f; do
  install -D -m644 "$f" "$work/lib/modules/$version/${f#*"$version"/}"
done
cp root/lib/modules/"$version"/modules.{order,builtin,builtin.modinfo} "$work/lib/modules/$version/"
depmod -b "$work" "$version"
(cd "$work" && find . -mindepth 1 | cpio -o -H newc --quiet) >initrd.new
mv initrd.new initrd
echo "$stamp" >stamp

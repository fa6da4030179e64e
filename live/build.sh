#!/bin/bash
# Makes the live system in live/out: vmlinuz, initrd.img and boot loaders to start from the network,
# an ISO to start from USB or CD, and versions.txt, which says what they are made of.
#
# Run it as root on Debian, after portable.sh. All that goes in, and what puts it together, are
# packages of one Debian suite (see live/packages), unpacked into a folder. So the result does not
# depend on the machine that this runs on, and the same inputs give the same bytes.
#
#   DEBIAN_MIRROR, SECURITY_MIRROR   where packages come from, if not from Debian's own servers
set -euo pipefail
cd "$(dirname "$0")/.."
umask 022
export LC_ALL=C

SUITE=trixie
MIRROR=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
SECURITY=${SECURITY_MIRROR:-http://deb.debian.org/debian-security}
KEYS=/usr/share/keyrings/debian-archive-keyring.gpg
# The date of all files: when something was made says nothing about what it is.
export SOURCE_DATE_EPOCH=1735689600
FAT_SERIAL=4d434c49

fail() {
  printf '%s: %s\n' "$0" "$1" >&2
  exit 1
}

step() {
  printf '%4d s  %s\n' "$SECONDS" "$1"
}

# The names on the lines of a list that begin with a word.
listed() {
  awk -v first="$2" '$1 == first { print $2 }' "live/$1"
}

# An apt of its own: what this machine has installed, and from where, does not matter to it.
set_up_apt() {
  mkdir -p "$work/apt/lists/partial"
  : >"$work/apt/status"
  cat >"$work/apt/sources.list" <<LIST
deb [signed-by=$KEYS] $MIRROR $SUITE main non-free-firmware
deb [signed-by=$KEYS] $SECURITY $SUITE-security main non-free-firmware
LIST
  cat >"$work/apt/apt.conf" <<CONF
Dir::State "$work/apt";
Dir::State::status "$work/apt/status";
Dir::State::lists "$work/apt/lists";
Dir::Cache "$work/apt";
Dir::Etc::sourcelist "$work/apt/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
CONF
  export APT_CONFIG=$work/apt/apt.conf
  apt-get -qq update
}

# One line for each package: where it goes, and its name.
resolve_packages() {
  local kernel
  # This package is empty, and depends on the newest kernel's.
  kernel=$(apt-cache depends linux-image-amd64 | sed -n 's/^ *Depends: \(linux-image-\)/\1/p')
  [ -n "$kernel" ] || fail "linux-image-amd64 of $SUITE names no kernel"
  listed packages system | sed "s/^linux-image-amd64$/$kernel/; s/^/system /"
  listed packages boot | sed 's/^/boot /'
  listed packages tools | xargs apt-get -qq --print-uris install |
    awk '{ sub(/_.*/, "", $2); print "tools", $2 }'
}

fetch_packages() {
  local names
  resolve_packages | sort >"$work/packages"
  mapfile -t names < <(awk '{ print $2 }' "$work/packages" | sort -u)
  # apt names only what is not there yet: asked elsewhere, it names all.
  (cd "$work" && apt-get -qq --print-uris download "${names[@]}") |
    awk '{ print $2 }' >"$work/archives"
  mkdir -p live/out/packages
  (cd live/out/packages && apt-get -qq download "${names[@]}")
}

unpack_packages() {
  local place package archive target
  mkdir -p "$tools" "$system"
  while read -r place package; do
    archive=live/out/packages/$(grep "^${package}_" "$work/archives")
    target=$tools
    [ "$place" != system ] || target=$system
    dpkg-deb --extract "$archive" "$target"
    printf '%-6s  %s %s  sha256:%s\n' "$place" "$package" "$(dpkg-deb -f "$archive" Version)" \
      "$(sha256sum "$archive" | cut -d ' ' -f 1)"
  done <"$work/packages" >"$work/versions"
}

# Runs one of the unpacked tools, which see the folder $build as /build.
run_tool() {
  chroot "$tools" "$@"
}

# The files of the listed modules, and of those that they depend on.
list_modules() {
  awk '
    function module_of(path) {
      sub(/.*\//, "", path); sub(/\.ko.*/, "", path); gsub(/-/, "_", path)
      return path
    }
    FILENAME == ARGV[1] {
      sub(/#.*/, "")
      if (/\/$/) folders[$1] = 0; else if (NF > 0) names[module_of($1)] = 0
      next
    }
    {
      sub(/:/, "")
      is_wanted = module_of($1) in names
      if (is_wanted) names[module_of($1)] = 1
      for (folder in folders) {
        if (index($1, "kernel/" folder) == 1) is_wanted = folders[folder] = 1
      }
      if (is_wanted) for (i = 1; i <= NF; i++) print $i
    }
    END {
      for (name in names) if (!names[name]) missing = missing " " name
      for (folder in folders) if (!folders[folder]) missing = missing " " folder
      if (missing) { print "the kernel has no module" missing >"/dev/stderr"; exit 1 }
    }
  ' live/modules "$1/modules.dep" | sort -u
}

keep_modules() {
  local release modules
  release=$(basename "$system"/usr/lib/modules/*)
  modules=$system/usr/lib/modules/$release
  run_tool depmod --basedir /build/system "$release"
  list_modules "$modules" >"$work/modules"
  (cd "$modules" && find kernel -type f | sort | comm -23 - "$work/modules" | xargs rm)
  run_tool depmod --basedir /build/system "$release"
  # What busybox does not read.
  rm "$modules"/modules.{*.bin,*.modinfo,devname,order,softdep,symbols,weakdep}
}

# Turns the unpacked packages into the root of the initrd.
make_system() {
  local applet
  ln -s usr/bin "$system/bin"
  ln -s usr/bin "$system/sbin"
  ln -s usr/lib "$system/lib"
  ln -s usr/lib64 "$system/lib64"
  keep_modules
  mv "$system"/boot/vmlinuz-* "$build/vmlinuz"
  mkdir "$build/doc"
  (cd "$system/usr/share/doc" && cp --parents -- */copyright "$build/doc")
  (cd "$system" && rm -r boot usr/share usr/lib/x86_64-linux-gnu/gconv)
  find "$system" -type d -empty -delete
  for applet in $("$system/usr/bin/busybox" --list); do
    [ -e "$system/usr/bin/$applet" ] || ln -s busybox "$system/usr/bin/$applet"
  done
  mkdir -p "$system"/{dev,etc,opt,proc,sys}
  echo 'root:x:0:0:root:/root:/bin/sh' >"$system/etc/passwd"
  echo '127.0.0.1 localhost' >"$system/etc/hosts"
  # What mount tries where no type is given: it loads none for it that the kernel does not have yet.
  printf '%s\n' ext4 xfs btrfs vfat exfat ntfs3 iso9660 >"$system/etc/filesystems"
  tar -xJf "$portable" -C "$system/opt"
  mv "$system"/opt/multiclient-* "$programs"
  ln -s /opt/multiclient/multiclient /opt/multiclient/multiserver "$system/usr/bin"
  install -m 755 live/init "$system/init"
  ln -s /init "$system/usr/bin/copy-to"
  install -D -m 755 -t "$system/hooks" live/hooks/*
}

date_files() {
  find "$1" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
}

make_initrd() {
  date_files "$system"
  (cd "$system" && find . -print0 | sort -z) |
    run_tool cpio --quiet --create --null --directory=/build/system --format=newc --owner=0:0 \
      --reproducible | run_tool zstd --quiet -12 -T0 >"$build/initrd.img"
}

# What UEFI starts: the loaders that Secure Boot accepts. They find the ISO by its .disk/info.
make_efi_image() {
  local loaders=/build/efi
  mkdir "$build/efi"
  cp "$tools/usr/lib/shim/shimx64.efi.signed" "$build/efi/bootx64.efi"
  cp "$tools/usr/lib/grub/x86_64-efi-signed/gcdx64.efi.signed" "$build/efi/grubx64.efi"
  date_files "$build/efi"
  run_tool mformat -i /build/efi.img -C -T 16384 -h 64 -s 32 -N "$FAT_SERIAL" ::
  run_tool mmd -i /build/efi.img ::/EFI ::/EFI/BOOT
  run_tool mcopy -m -i /build/efi.img \
    $loaders/bootx64.efi $loaders/grubx64.efi ::/EFI/BOOT
}

# What a BIOS starts, from CD or from the first sector of a USB stick.
make_bios_image() {
  cat >"$build/find.cfg" <<'CFG'
search --file --set=root /.disk/info
set prefix=($root)/boot/grub
CFG
  run_tool grub-mkimage --format i386-pc-eltorito --prefix /boot/grub --config /build/find.cfg \
    --output /build/iso/boot/grub/bios.img \
    biosdisk echo iso9660 linux ls normal part_gpt part_msdos search search_fs_file serial \
    terminal test
}

make_iso() {
  mkdir -p "$build"/iso/{.disk,boot/grub}
  cp "$build/vmlinuz" "$build/initrd.img" "$build/iso"
  cp live/grub.cfg "$build/iso/boot/grub"
  cp -r "$build/doc" "$work/versions.txt" "$build/iso"
  echo "multiclient $version" >"$build/iso/.disk/info"
  make_efi_image
  make_bios_image
  date_files "$build/iso"
  run_tool xorriso -as mkisofs -quiet -rational-rock -volid MULTICLIENT -output /build/live.iso \
    --grub2-mbr /usr/lib/grub/i386-pc/boot_hybrid.img -partition_offset 16 --mbr-force-bootable \
    -append_partition 2 0xef /build/efi.img \
    -eltorito-boot boot/grub/bios.img -no-emul-boot -boot-load-size 4 -boot-info-table \
    --grub2-boot-info \
    -eltorito-alt-boot -e --interval:appended_partition_2:all:: -no-emul-boot \
    /build/iso
}

# What firmware loads by TFTP (see multiserver --netboot): iPXE for a BIOS, the signed loaders for UEFI.
collect_loaders() {
  mkdir "$build/boot"
  install -m 644 "$tools/usr/lib/ipxe/undionly.kpxe" "$build/boot"
  install -m 644 "$tools/usr/lib/shim/shimx64.efi.signed" "$build/boot/shimx64.efi"
  install -m 644 "$tools/usr/lib/grub/x86_64-efi-signed/grubnetx64.efi.signed" \
    "$build/boot/grubx64.efi"
}

write_versions() {
  {
    echo "multiclient $version"
    echo "node $("$programs/bin/node" --version)"
    # shellcheck disable=SC2016  # JavaScript, not the shell, looks at these
    "$programs/bin/node" -e '
      for (const file of process.argv.slice(1)) {
        const { name, version } = require(file);
        console.log(`npm     ${name} ${version}`);
      }' "$programs"/node_modules/{,@*/}*/package.json
    cat "$work/versions"
  } >"$work/versions.txt"
}

[ "$(id -u)" -eq 0 ] || fail 'run this as root: it changes the root folder for its tools'
for command in apt-get dpkg-deb xz; do
  command -v "$command" >/dev/null || fail "$command is missing: this needs Debian"
done
version=$(sed -n 's/^  "version": "\(.*\)",/\1/p' package.json)
portable=live/out/multiclient-$version-linux-x64.tar.xz
[ -f "$portable" ] || fail "$portable is missing: make it with 'npm run portable'"

# Not in /tmp, which is memory on many machines.
work=$(mktemp -d /var/tmp/live-XXXXXXXX)
trap 'rm -rf "$work"' EXIT
tools=$work/tools
build=$tools/build
system=$build/system
programs=$system/opt/multiclient

step 'packages'
set_up_apt
fetch_packages
unpack_packages
step 'system'
make_system
write_versions
step 'initrd'
make_initrd
step 'ISO'
make_iso
collect_loaders
mv "$build"/{vmlinuz,initrd.img} "$work/versions.txt" live/out
rm -rf live/out/boot
mv "$build/boot" live/out
mv "$build/live.iso" "live/out/multiclient-$version-live-x64.iso"
# Who works in this checkout may not be root.
chown --recursive --reference=package.json live/out dist
step 'done'
(cd live/out && ls -sh1 vmlinuz initrd.img ./*.iso)

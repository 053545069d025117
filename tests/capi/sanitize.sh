#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# The C tests once more, watched by the compilers' sanitizers: what is read or written out of bounds or
# after it was freed, what is freed twice, what nobody frees, what C leaves undefined.
#
#   sanitize.sh         builds a library that is watched as well
#   sanitize.sh FOLDER  takes the one that is there: within Rust only what is freed is watched
#
# The last line is "N passed, N failed".
set -u

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

if [ $# -gt 0 ]; then
    built=$(cd "$1" && pwd) || exit 1
else
    target=${CARGO_TARGET_DIR:-$root/target}/sanitize
    host=$(rustc -vV | sed -n 's/^host: //p')
    built=$target/$host/debug
    # Rust's sanitizers are unstable, and a stable compiler has them if it is told that we know. With the
    # host named, build scripts and macros go without.
    (cd "$root" && RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=address \
        cargo build --quiet --target "$host" --target-dir "$target" -p xenvnet-capi) || {
        echo "0 passed, 1 failed"
        exit 1
    }
fi
ln -s "$built/libxenvnet.so" "$work/libxenvnet.so"
ln -s "$built/libxenvnet.so" "$work/libxenvnet.so.0"

if [ "$(id -u)" -eq 0 ]; then
    apart() { unshare --net --mount -- "$@"; }
else
    apart() { unshare --map-root-user --net --mount -- "$@"; }
fi

compile() {
    # The runtime is clang's, in the program; the library finds it there.
    clang -std=c99 -g -fsanitize=address,undefined -fno-sanitize-recover=all -I"$root/include" \
        "$1" -o "$2" -L"$work" -Wl,-rpath,"$work" -lxenvnet -pthread
}
export ASAN_OPTIONS=detect_leaks=1

passed=0
failed=0
# check WHAT COMMAND...: what the command says is shown if it fails.
check() {
    what=$1
    shift
    if "$@" >"$work/output" 2>&1; then
        passed=$((passed + 1))
        echo "ok      $what"
    else
        failed=$((failed + 1))
        echo "FAILED  $what"
        sed 's/^/        /' "$work/output"
    fi
}

for program in values arguments configurations network guests modes; do
    mkdir "$work/state-$program"
    argument=$work/state-$program
    [ $program = values ] && argument=$root/tests/data/mac-from-ip.txt
    check "clang compiles $program.c" compile "$here/$program.c" "$work/$program"
    check "$program.c" apart "$work/$program" "$argument"
done

# finds WORDS STATEMENT: a program that does so is stopped with these words. Who sees nothing passes all.
finds() {
    printf '#include <xenvnet.h>\nint main(void) {\n    xenvnet_error *error = 0;\n    xenvnet_bridge *bridge = 0;\n' >"$work/bad.c"
    printf '    xenvnet_bridge_new("a name that is too long", &bridge, &error);\n    %s\n}\n' "$2" >>"$work/bad.c"
    compile "$work/bad.c" "$work/bad" || return 1
    "$work/bad" 2>&1 | tee "$work/words"
    grep -q "$1" "$work/words"
}
check "what is freed twice is found" finds "AddressSanitizer: attempting double-free\|AddressSanitizer: heap-use-after-free" \
    "xenvnet_error_free(error); xenvnet_error_free(error); return 0;"
# Several: one may be known to a stack that nobody uses any more.
check "leaks are found" finds "LeakSanitizer: detected memory leaks" \
    'for (int i = 0; i < 9; i++) xenvnet_bridge_new("this one is too long", &bridge, &error); return 0;'
[ $# -gt 0 ] || check "a use after free within Rust is found" finds "AddressSanitizer: heap-use-after-free" \
    "xenvnet_error_free(error); return xenvnet_error_message(error) == 0;"

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]

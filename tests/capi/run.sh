#!/bin/sh
# SPDX-License-Identifier: MIT OR Apache-2.0
#
# Tests the C interface: the header, the library as C programs link it, and its calls, with every
# C compiler that is there and, if it is there, under valgrind. As root or as an ordinary user who
# may have user namespaces. The last line is "N passed, N failed".
#
#   PROFILE=release  tests the library as it is shipped (default: dev, where the panic test runs)
#   XENVNET_REQUIRE_KERNEL=1  a namespace that cannot be had is a failure, not a skip
set -u

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
profile=${PROFILE:-dev}
target=${CARGO_TARGET_DIR:-$root/target}
case $profile in dev) built=$target/debug ;; *) built=$target/$profile ;; esac
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

passed=0
failed=0

# check WHAT COMMAND...: one check; what the command says is shown if it fails.
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

# count WHAT COMMAND...: a program that ends with its own "N passed, N failed".
count() {
    what=$1
    shift
    "$@" >"$work/output" 2>&1
    code=$?
    last=$(tail -n 1 "$work/output")
    if echo "$last" | grep -Eq '^[0-9]+ passed, [0-9]+ failed$'; then
        ok=${last%% passed*}
        bad=${last#*, }
        bad=${bad%% *}
    else
        ok=0
        bad=1
    fi
    # A program that says that all is well and still fails was killed, or valgrind has a word.
    [ "$code" -ne 0 ] && [ "$bad" -eq 0 ] && bad=1
    passed=$((passed + ok))
    failed=$((failed + bad))
    if [ "$bad" -eq 0 ]; then
        echo "ok      $what ($ok)"
    else
        echo "FAILED  $what ($bad of $((ok + bad)), exit code $code)"
        sed 's/^/        /' "$work/output"
    fi
}

# In new network and mount namespaces, and a new user namespace where root is not ours.
if [ "$(id -u)" -eq 0 ]; then
    apart() { unshare --net --mount -- "$@"; }
else
    apart() { unshare --map-root-user --net --mount -- "$@"; }
fi

header_is_current() {
    if ! cbindgen --version >/dev/null 2>&1; then
        echo "cbindgen is missing: cargo install --locked cbindgen@0.29.4"
        return 1
    fi
    case $(cbindgen --version) in
    "cbindgen 0.29.4") ;;
    *)
        echo "the header is written by cbindgen 0.29.4, this is $(cbindgen --version)"
        return 1
        ;;
    esac
    (cd "$root" && cbindgen --quiet --config xenvnet-capi/cbindgen.toml --crate xenvnet-capi --output "$work/xenvnet.h") &&
        diff -u "$root/include/xenvnet.h" "$work/xenvnet.h"
}

# The library's own symbols, but for the entry that only its tests use.
symbols() { nm -D --defined-only "$1" | awk '{ print $3 }' | grep -v '^xenvnet_test_' | LC_ALL=C sort; }
symbols_are_listed() { symbols "$built/libxenvnet.so" | diff -u "$here/symbols.txt" -; }
symbols_are_declared() {
    for symbol in $(cat "$here/symbols.txt"); do
        grep -q "[ *]$symbol(" "$root/include/xenvnet.h" || { echo "$symbol is not in the header" && return 1; }
    done
}
# What a reader of the header does first: its program, built as it says, run twice.
pkg_config_finds_it() {
    mkdir -p "$work/pkgconfig" || return 1
    sed -e "s|@prefix@|$root|; s|@libdir@|$work/lib|; s|@includedir@|$root/include|" \
        -e "s|@version@|$(sed -n 's/^#define XENVNET_VERSION "\(.*\)"/\1/p' "$root/include/xenvnet.h")|" \
        "$root/xenvnet-capi/xenvnet.pc.in" >"$work/pkgconfig/xenvnet.pc"
    # shellcheck disable=SC2046 # a list of options
    cc "$work/manual.c" $(PKG_CONFIG_PATH=$work/pkgconfig pkg-config --cflags --libs xenvnet) -o "$work/manual"
}
manual_works() {
    # A /run of its own, so that the host's state directory is left alone.
    apart sh -c 'mount -t tmpfs none /run && "$0" && "$0"' "$1" >"$work/manual.out" 2>&1
    printf 'created\nit was there already\n' | diff -u - "$work/manual.out"
}
soname_is() { readelf -d "$built/libxenvnet.so" | grep -q "SONAME.*\[$1\]"; }

(cd "$root" && cargo build --quiet --profile "$profile" -p xenvnet-capi) || {
    echo "0 passed, 1 failed"
    exit 1
}
mkdir "$work/lib"
ln -s "$built/libxenvnet.so" "$work/lib/libxenvnet.so"
ln -s "$built/libxenvnet.so" "$work/lib/libxenvnet.so.0"
LD_LIBRARY_PATH=$work/lib
export LD_LIBRARY_PATH

check "include/xenvnet.h is what cbindgen makes" header_is_current
check "the exported symbols are those of symbols.txt" symbols_are_listed
check "the exported symbols are declared" symbols_are_declared
check "the soname is libxenvnet.so.0" soname_is libxenvnet.so.0

panic=
nm -D --defined-only "$built/libxenvnet.so" | grep -q xenvnet_test_panic && panic=-DXENVNET_TEST_PANIC
# -gdwarf-4: what every valgrind reads.
c99="-std=c99 -pedantic -Wall -Wextra -Werror -Wstrict-prototypes -Wmissing-prototypes -gdwarf-4 $panic"
namespaces=yes
apart true 2>"$work/output" || namespaces=

# The program at the head of the header, as a reader would copy it.
sed -n '/^ \*     #include <stdio.h>/,/^ \*     }$/s/^ \*     //p' "$root/include/xenvnet.h" >"$work/manual.c"

compilers=0
for cc in ${CC:-cc gcc clang}; do
    command -v "$cc" >/dev/null || continue
    # cc is one of the others nearly everywhere.
    real=$(readlink -f "$(command -v "$cc")")
    case " ${seen:-} " in *" $real "*) continue ;; esac
    seen="${seen:-} $real"
    compilers=$((compilers + 1))

    for program in values arguments configurations network guests modes; do
        # shellcheck disable=SC2086 # a list of options
        check "$cc compiles $program.c" "$cc" $c99 -I"$root/include" "$here/$program.c" -o "$work/$program-$compilers" \
            -L"$work/lib" -lxenvnet -pthread
    done
    # shellcheck disable=SC2086
    check "$cc compiles the program in the header" "$cc" $c99 -I"$root/include" "$work/manual.c" \
        -o "$work/manual-$compilers" -L"$work/lib" -lxenvnet
    check "$cc compiles the header as C++17" "$cc" -x c++ -std=c++17 -pedantic -Wall -Wextra -Werror -fsyntax-only \
        "$root/include/xenvnet.h"

    count "values.c by $cc" "$work/values-$compilers" "$root/tests/data/mac-from-ip.txt"
    count "arguments.c by $cc" "$work/arguments-$compilers"
    count "configurations.c by $cc" "$work/configurations-$compilers"
    if [ -n "$namespaces" ]; then
        for program in network guests modes; do
            mkdir "$work/state-$program-$compilers"
            count "$program.c by $cc" apart "$work/$program-$compilers" "$work/state-$program-$compilers"
        done
        check "the program in the header works by $cc" manual_works "$work/manual-$compilers"
    fi
done
check "there is a C compiler" [ "$compilers" -gt 0 ]

check "a C program links against the static library" sh -c "
    cc $c99 -I'$root/include' '$here/values.c' '$built/libxenvnet.a' -o '$work/static' \
        $(sed -n 's/^Libs.private: //p' "$root/xenvnet-capi/xenvnet.pc.in") &&
    '$work/static' '$root/tests/data/mac-from-ip.txt'"

# A skip, or a failure where nothing may be left out.
lacks() {
    if [ -n "${XENVNET_REQUIRE_KERNEL:-}" ]; then
        check "there is $1 (apt-get install $1)" false
    else
        echo "skipped $1: apt-get install $1"
    fi
}

if command -v pkg-config >/dev/null; then
    check "pkg-config finds the library" pkg_config_finds_it
else
    lacks pkg-config
fi

if command -v valgrind >/dev/null; then
    # What Rust's standard library keeps for a thread is "possibly lost" to valgrind: it is held by a
    # pointer into its middle.
    kinds=definite,indirect
    grind="valgrind --quiet --error-exitcode=9 --leak-check=full --show-leak-kinds=$kinds"
    grind="$grind --errors-for-leak-kinds=$kinds"
    # An optimised `option == Some(x)` compares first and looks whether there is anything afterwards,
    # which valgrind takes for a use of what was never written.
    [ "$profile" = dev ] || grind="$grind --undef-value-errors=no"
    # shellcheck disable=SC2086
    count "values.c under valgrind" $grind "$work/values-1" "$root/tests/data/mac-from-ip.txt"
    # shellcheck disable=SC2086
    count "arguments.c under valgrind" $grind "$work/arguments-1"
    # shellcheck disable=SC2086
    count "configurations.c under valgrind" $grind "$work/configurations-1"
    if [ -n "$namespaces" ]; then
        for program in network guests modes; do
            mkdir "$work/state-$program-grind"
            # shellcheck disable=SC2086
            count "$program.c under valgrind" apart $grind "$work/$program-1" "$work/state-$program-grind"
        done
    fi
else
    lacks valgrind
fi

if [ -z "$namespaces" ]; then
    if [ -n "${XENVNET_REQUIRE_KERNEL:-}" ]; then
        check "a network namespace can be had" apart true
    else
        echo "skipped network.c, guests.c and modes.c: no network namespace can be had here"
    fi
fi

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]

# The door to xenvnet. Every target installs what it needs; none relies on what an earlier run left.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules
# A recipe is one script; the targets of `test` run in the order they are written.
.ONESHELL:
.NOTPARALLEL:

PREFIX  ?= /usr/local
LIBDIR  ?= $(PREFIX)/lib
DESTDIR ?=
PYTHON  ?= python3

CARGO  ?= cargo
TARGET := $(or $(CARGO_TARGET_DIR),target)
TOOLS  := $(abspath $(TARGET))/tools
VENV   := .venv
# One answer for every build of the Python crate, so that none of them rebuilds the other's.
export PYO3_PYTHON := $(CURDIR)/$(VENV)/bin/python

# Our own tools first; nft and ip last: they live where an ordinary user's PATH does not look.
export PATH := $(TOOLS)/bin:$(PATH):/usr/sbin:/sbin

VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
ABI     := 0

# Versions of the tools are pinned: what they print is compared with what is committed.
CBINDGEN_VERSION   := 0.29.4
CARGO_DENY_VERSION := 0.20.2
CARGO_FUZZ_VERSION := 0.13.2

.PHONY: help
help: ## prints this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | expand -t 24

.PHONY: demo
demo: ## the whole story in throw-away namespaces; needs cargo and a kernel
	$(CARGO) run --release --package xenvnet-cli -- demo

# The same by the command that was built for the tests.
.PHONY: test-demo
test-demo:
	$(CARGO) test $(OURS) --test '*' --no-run --quiet
	$(TARGET)/debug/xenvnet demo

.PHONY: test
test: packages venv quick-lint header-check test-rust test-kernel test-root test-demo test-c test-python fuzz-minute ## every test; installs what it compares with

.PHONY: test-rust
test-rust:
	$(CARGO) test $(OURS) --lib --bins
	$(CARGO) test $(OURS) --doc

.PHONY: test-kernel
test-kernel: ## the tests that need a kernel, without root
	export XENVNET_REQUIRE_KERNEL=1
	# What takes long is run once, as root where we are root.
	skip=(); if [ "$$(id -u)" = 0 ]; then skip=($(LONG:%=--skip %)); fi
	$(CARGO) $(WITHOUT_ROOT) test $(OURS) --test '*' -- $(AT_ONCE) "$${skip[@]}"

LONG = load:: passage:: holes:: loss:: is_killed crowd:: vanishing:: state_gone:: cycles::

# Always the same packages: cargo builds what they share once for each choice of them.
OURS = --workspace --exclude xenvnet-py

# Half of the time they wait for the kernel.
AT_ONCE = --test-threads=$(shell echo $$((2 * $$(nproc))))

# Cargo builds as whoever calls it and runs the tests as an ordinary user in namespaces of its own.
WITHOUT_ROOT = --config "target.'cfg(unix)'.runner=['$(CURDIR)/.ci/ordinary-user','unshare','-rn']"

# The same with root's powers, where we have them: some doors of the kernel open to nobody else.
.PHONY: test-root
test-root:
	if [ "$$(id -u)" = 0 ]; then
		XENVNET_REQUIRE_KERNEL=1 $(CARGO) test $(OURS) --test '*' -- $(AT_ONCE)
	else
		echo "not root: the kernel tests were run as an ordinary user only"
	fi

.PHONY: test-c
test-c:
	XENVNET_REQUIRE_KERNEL=1 tests/capi/run.sh
	tests/capi/sanitize.sh $(TARGET)/debug

.PHONY: sanitize
sanitize: PACKAGE_OF := clang:clang
sanitize: packages ## the C tests under the address and undefined-behaviour sanitizers, C and Rust
	tests/capi/sanitize.sh

.PHONY: test-python
test-python: venv
	$(VENV)/bin/maturin develop --quiet --manifest-path xenvnet-py/Cargo.toml
	XENVNET_REQUIRE_KERNEL=1 $(VENV)/bin/python -m pytest tests/python
	$(VENV)/bin/python -m mypy.stubtest xenvnet
	$(VENV)/bin/python -m mypy --strict tests/python/user_program.py

.PHONY: lint
lint: venv quick-lint cargo-deny fuzz/Cargo.lock ## format, clippy, documentation, licences, banned crates
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --no-deps --workspace --exclude xenvnet-tests --exclude xenvnet-benches
	$(CARGO) clippy --manifest-path fuzz/Cargo.toml --target-dir $(TARGET) --all-targets -- -D warnings
	cargo-deny check bans licenses sources

.PHONY: quick-lint
quick-lint:
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path fuzz/Cargo.toml --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings

.PHONY: header
header: cbindgen ## writes include/xenvnet.h
	$(CBINDGEN) --output include/xenvnet.h

.PHONY: header-check
header-check: cbindgen
	$(CBINDGEN) --verify --output include/xenvnet.h \
		|| { echo "include/xenvnet.h is not what xenvnet-capi/src says; run: make header" >&2; exit 1; }

.PHONY: fuzz
fuzz: fuzz-build ## hostile input: 10 million runs of each target
	fuzz/run $(FUZZERS) -runs=10000000

# The same for a minute.
.PHONY: fuzz-minute
fuzz-minute: fuzz-build
	fuzz/run $(FUZZERS) -max_total_time=60

# Without a sanitizer: core has no unsafe code that one could look at, twice as many runs reach further, and
# panics, overflows and assertions are found without. It also takes no unstable flag, so any compiler will do.
.PHONY: fuzz-build
fuzz-build: cargo-fuzz fuzz/Cargo.lock
	$(CARGO) fuzz build --sanitizer none --target $(HOST) --target-dir $(abspath $(TARGET))/fuzz

# A workspace of its own, with our versions.
fuzz/Cargo.lock: Cargo.lock
	cp $< $@

HOST = $(shell rustc -vV | sed -n 's/^host: //p')
FUZZERS = $(abspath $(TARGET))/fuzz/$(HOST)/release

.PHONY: soak
soak: packages ## uplinks taken over 100 times and killed at every step, 10,000 guests that come and go, a crowd for a minute
	export XENVNET_REQUIRE_KERNEL=1 XENVNET_SOAK=100
	$(CARGO) test --package xenvnet-tests --package xenvnet-cli --test takeover --test killed
	$(CARGO) test --package xenvnet-tests --test kernel -- cycles:: crowd:: --nocapture

.PHONY: test-faults
test-faults: packages ## everything that can go wrong at every message of every operation, as root and as an ordinary user
	export XENVNET_REQUIRE_KERNEL=1 XENVNET_EVERY_POINT=1
	walk() {
		"$$@" --package xenvnet-tests --test faults
		"$$@" --package xenvnet-cli --test faults --test killed -- --nocapture
	}
	walk $(CARGO) $(WITHOUT_ROOT) test
	if [ "$$(id -u)" = 0 ]; then walk $(CARGO) test; fi

.PHONY: bench
bench: PACKAGE_OF := nft:nftables ip:iproute2
bench: packages ## one table: the library beside a raw floor and the programs ip and nft
	$(CARGO) build --release --package xenvnet-benches
	if [ "$$(id -u)" = 0 ]; then run=(); else run=(unshare -rn); fi
	"$${run[@]}" $(TARGET)/release/xenvnet-benches

.PHONY: install
install: ## command, manual pages, C library, header, pkg-config file (PREFIX, LIBDIR, DESTDIR)
	$(CARGO) build --release --package xenvnet-cli --package xenvnet-capi
	install -D -m 755 $(TARGET)/release/xenvnet $(DESTDIR)$(PREFIX)/bin/xenvnet
	install -d $(DESTDIR)$(PREFIX)/share/man/man1
	$(TARGET)/release/xenvnet man $(DESTDIR)$(PREFIX)/share/man/man1
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions
	$(TARGET)/release/xenvnet completions bash > $(DESTDIR)$(PREFIX)/share/bash-completion/completions/xenvnet
	install -d $(DESTDIR)$(PREFIX)/lib/systemd/system
	for unit in xenvnet.service xenvnet-watch.service xenvnet-guard.service xenvnet-dhcp@.service; do
		sed 's|/usr/bin/|$(PREFIX)/bin/|' xenvnet-cli/systemd/$$unit > $(DESTDIR)$(PREFIX)/lib/systemd/system/$$unit
	done
	install -D -m 755 $(TARGET)/release/libxenvnet.so $(DESTDIR)$(LIBDIR)/libxenvnet.so.$(VERSION)
	ln -sf libxenvnet.so.$(VERSION) $(DESTDIR)$(LIBDIR)/libxenvnet.so.$(ABI)
	ln -sf libxenvnet.so.$(ABI) $(DESTDIR)$(LIBDIR)/libxenvnet.so
	install -D -m 644 $(TARGET)/release/libxenvnet.a $(DESTDIR)$(LIBDIR)/libxenvnet.a
	install -D -m 644 include/xenvnet.h $(DESTDIR)$(PREFIX)/include/xenvnet.h
	install -d $(DESTDIR)$(LIBDIR)/pkgconfig
	sed -e 's|@prefix@|$(PREFIX)|' -e 's|@libdir@|$(LIBDIR)|' -e 's|@includedir@|$(PREFIX)/include|' \
		-e 's|@version@|$(VERSION)|' xenvnet-capi/xenvnet.pc.in > $(DESTDIR)$(LIBDIR)/pkgconfig/xenvnet.pc

.PHONY: clean
clean: ## removes what was built
	$(CARGO) clean
	rm -rf $(VENV)

# What the targets above need ------------------------------------------------------------------------------------------

# Debian's package for each program that a test compares with or is driven by.
PACKAGE_OF := nft:nftables ip:iproute2 strace:strace ping:iputils-ping valgrind:valgrind clang:clang gcc:gcc \
	g++:g++ pkg-config:pkg-config dnsmasq:dnsmasq-base busybox:busybox $(PYTHON):python3-venv

.PHONY: packages
packages:
	@missing=()
	for pair in $(PACKAGE_OF); do
		program=$${pair%%:*} package=$${pair#*:}
		# Debian packs a part of Python separately.
		case $$package in
			python3-venv) $(PYTHON) -c 'import ensurepip, venv' 2> /dev/null ;;
			*) command -v "$$program" > /dev/null ;;
		esac || missing+=("$$package")
	done
	[ $${#missing[@]} -gt 0 ] || exit 0
	if [ "$$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
		echo "packages are missing; install them as root: apt-get install $${missing[*]}" >&2
		exit 1
	fi
	install=(apt-get install --yes --no-install-recommends "$${missing[@]}")
	export DEBIAN_FRONTEND=noninteractive
	"$${install[@]}" || { apt-get update; "$${install[@]}"; }

.PHONY: venv
venv:
	@$(VENV)/bin/python -c '' 2> /dev/null || { rm -rf $(VENV); $(PYTHON) -m venv $(VENV); }
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --requirement tests/python/requirements.txt

# A tool of the pinned version: the one that is there, else one of our own, built once.
define tool
.PHONY: $(1)
$(1):
	@[ "$$$$($(1) --version 2> /dev/null)" = "$(1) $(2)" ] \
		|| $$(CARGO) install --quiet --locked --root $$(TOOLS) --version $(2) $(1)
endef
$(eval $(call tool,cbindgen,$(CBINDGEN_VERSION)))
$(eval $(call tool,cargo-deny,$(CARGO_DENY_VERSION)))
$(eval $(call tool,cargo-fuzz,$(CARGO_FUZZ_VERSION)))

CBINDGEN = cbindgen --quiet --config xenvnet-capi/cbindgen.toml --lockfile Cargo.lock --crate xenvnet-capi

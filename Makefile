# elver: `make lab` shows it, `make test` tests it. Both do all their set-up themselves,
# on Debian 12 with rustup, as root.

# rustup's programs, where a root shell does not have them on its path.
export PATH := $(or $(CARGO_HOME),$(HOME)/.cargo)/bin:$(PATH)
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

cargo := cargo
elver := target/release/elver
say = @echo "== $(1)"

.PHONY: help
help:
	@echo "make lab [ONCE=1]   build, then run the director of examples/nat between namespaces;"
	@echo "                    with ONCE=1 exit when every step has been shown; LAB=tun, LAB=dr and"
	@echo "                    LAB=docker show tunnels, direct routing and containers"
	@echo "make test           every test but the long matrices (root, about half an hour)"
	@echo "make oracle         elver beside the real IPVS, on Debian 12's kernel in an emulator"
	@echo "                    (about 35 minutes; ORACLE_SEED=N replays, ORACLE_ONLY=WORDS runs"
	@echo "                    the steps whose names begin with these words; commas part several;"
	@echo "                    ORACLE_GENERATED=N makes N generated runs of packets instead of 3)"
	@echo "make build          $(elver)"
	@echo "make deb            a package for Debian 12, in target/debian"
	@echo "make rpm            a package for Red Hat's kind of Linux, in target/redhat"
	@echo "make book           the book of docs, in target/book"
	@echo "make fuzz TARGET=N  a fuzzer that is led by coverage, for SECONDS (60); its targets are in"
	@echo "                    fuzz/src/lib.rs, and what it finds worth keeping comes to fuzz/corpus"
	@echo "make bench          packets, throughput, failover, and ipvsadm with large tables, printed"
	@echo "                    and in target/bench.json"
	@echo "make bench-oracle   instructions per packet, IPVS beside elver, on Debian 12's kernel"
	@echo "make check          formatting, lints, the direction of dependencies, licences"
	@echo "make setup          only install what the others need"

.PHONY: setup
setup:
	$(call say,set-up)
	@tools/set-up

.PHONY: build
build: setup
	$(call say,building $(elver))
	@$(cargo) build --locked --release -p elver

# A package of Debian's kind: target/debian/elver_VERSION_ARCHITECTURE.deb.
.PHONY: deb
deb: build
	$(call say,packaging)
	@tools/package-files $(elver)
	@$(cargo) deb --locked --no-build --quiet --strip -p elver

# A package of Red Hat's kind, in target/redhat.
.PHONY: rpm
rpm: build
	$(call say,set-up)
	@tools/set-up rpm
	$(call say,packaging)
	@tools/package-files $(elver)
	@rpmbuild --quiet -bb packaging/redhat/elver.spec --define "_topdir $(CURDIR)/target/redhat" \
	    --define "_rpmdir $(CURDIR)/target/redhat" --define "tree $(CURDIR)" \
	    --define "program $(elver)"

# The book, in target/book: what is in docs, to be read in a browser.
.PHONY: book
book:
	$(call say,set-up)
	@tools/set-up book
	$(call say,the book)
	@mdbook build

.PHONY: lab
lab: build
	$(call say,the lab)
	@$(elver) lab $(or $(LAB),nat) $(if $(ONCE),--once)

.PHONY: test
test: setup
	$(call say,building the elver that the labs run)
	@$(cargo) build --locked -p elver
	$(call say,testing)
	@$(cargo) test --locked --no-fail-fast

# The emulator is ten to twenty times slower than the machine. Quarrels over the processor
# come on top of that, so limits are made ten times as long.
.PHONY: oracle
oracle:
	$(call say,set-up)
	@tools/set-up oracle
	$(call say,building what runs on the other kernel)
	@$(cargo) build --locked -p elver
	@$(cargo) build --locked -p elver-lab --example oracle
	@tools/oracle-debian target/debug/elver
	$(call say,the oracle)
	@load=$$($(cargo) test --locked --no-run --message-format=json -p elver-sys --test load \
	    | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p'); \
	tools/oracle-vm env ELVER_LAB_SLOWNESS=10 ORACLE_SEED="$${ORACLE_SEED:-$$RANDOM}" \
	    ORACLE_ONLY="$${ORACLE_ONLY:-}" ORACLE_GENERATED="$${ORACLE_GENERATED:-3}" \
	    target/debug/examples/oracle \
	    "$(CURDIR)/target/debug/elver" "$$load"

# libFuzzer, with the compiler's own instructions for it: no other compiler is needed. What is
# found goes to target/fuzz first; the corpus then gets those files alone that reach something new.
fuzz_flags := -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares \
    -Cdebug-assertions -Ccodegen-units=1
fuzz_target := x86_64-unknown-linux-gnu
.PHONY: fuzz
fuzz: setup
	$(call say,building the fuzzer)
	@CARGO_TARGET_DIR=target/fuzz CARGO_BUILD_RUSTFLAGS="$(fuzz_flags)" $(cargo) build --locked \
	    --release --target $(fuzz_target) -p elver-fuzz --features fuzzer
	$(call say,looking for $(or $(SECONDS),60) s)
	@mkdir -p target/fuzz/found/$(TARGET) fuzz/corpus/$(TARGET)
	@cd target/fuzz && export ELVER_FUZZ_TARGET=$(TARGET) fuzz=$(fuzz_target)/release/fuzz && \
	    "$$fuzz" -max_total_time=$(or $(SECONDS),60) -max_len=4096 -timeout=10 -print_final_stats=1 \
	    found/$(TARGET) ../../fuzz/corpus/$(TARGET) && \
	    "$$fuzz" -set_cover_merge=1 ../../fuzz/corpus/$(TARGET) found/$(TARGET)

.PHONY: bench
bench: build
	$(call say,measuring packets)
	@$(cargo) bench --locked -p elver-sys --bench packet
	$(call say,measuring checks)
	@$(cargo) bench --locked -p elver --bench checks
	$(call say,measuring the configuration language)
	@$(cargo) bench --locked -p elver-core --bench configuration
	@$(cargo) bench --locked -p elver --bench reload
	$(call say,measuring throughput)
	@$(cargo) bench --locked -p elver-lab --bench throughput
	$(call say,measuring ipvsadm)
	@$(cargo) bench --locked -p elver --bench ipvsadm
	$(call say,measuring advertisements under stress)
	@$(cargo) bench --locked -p elver-lab --bench advertisements
	$(call say,measuring failover)
	@$(cargo) bench --locked -p elver-lab --bench failover

# The emulator's clock counts instructions there, so what is measured does not depend on the
# machine.
.PHONY: bench-oracle
bench-oracle:
	$(call say,set-up)
	@tools/set-up oracle
	$(call say,building what runs on the other kernel)
	@$(cargo) build --locked -p elver
	@$(cargo) build --locked -p elver-lab --example oracle
	$(call say,counting instructions)
	@ORACLE_COUNTS_INSTRUCTIONS=1 tools/oracle-vm env ELVER_LAB_SLOWNESS=100 \
	    target/debug/examples/oracle cost "$(CURDIR)/target/debug/elver"
	$(call say,counting those of the programs alone: a nanosecond there is an instruction)
	@packet=$$($(cargo) test --locked --no-run --message-format=json -p elver-sys --bench packet \
	    | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p'); \
	ORACLE_COUNTS_INSTRUCTIONS=1 ORACLE_MEMORY=4096 tools/oracle-vm sh -c \
	    "mount -t bpf bpf /sys/fs/bpf; BENCH_RUNS=3 $$packet ' 1 flow' 'new flow' 'no virtual'"

.PHONY: check
check:
	$(call say,set-up)
	@tools/set-up check
	$(call say,formatting)
	@$(cargo) fmt --all --check
	$(call say,lints)
	@$(cargo) clippy --locked --workspace --all-targets -- -D warnings
	$(call say,the direction of dependencies)
	@$(cargo) test --locked --quiet -p elver-lab --test dependencies
	$(call say,licences and sources of dependencies)
	@$(cargo) fetch --locked --quiet # those of other systems too, which nobody builds here
	@$(cargo) deny --locked --offline check bans licenses sources

# Each target does its own set-up (Debian packages, virtual environment, compilation) and is quick the second time.
#
#   make demo [GUESTS=qemu]   a DMZ on one host, shown with real frames
#   make test                 every test ring; what CI runs
#   make bench [ONLY=name]    measurements beside the peers
#   make debug                the data plane's tests under AddressSanitizer and UBSan
#   make mutants [SEED=n]     negates conditions of the data plane one by one: do the tests notice?
#   make fuzz [MINUTES=10]    hostile guests at random, under the same sanitizers
#   make fuzz-coverage        which lines of the walker and the validator the fuzz corpora reach
#   make lint                 ruff, mypy, cython-lint

VENV   ?= .venv
PYTHON ?= python3
GUESTS ?= namespaces
MINUTES ?= 10
SUDO   := $(shell [ "$$(id -u)" = 0 ] || echo sudo)
RUN     = $(SUDO) env PYTHONPATH=$(CURDIR) PATH="$$PATH:/usr/sbin:/sbin" $(abspath $(VENV))/bin/python
PYTEST  = $(RUN) -m pytest

BUILD_PACKAGES = gcc libc6-dev python3-dev python3-venv
RUN_PACKAGES   = iproute2 nftables iputils-ping busybox-static procps
QEMU_PACKAGES  = qemu-system-x86
# Its own init script is asked for: without it apt would bring systemd along, where it is not the init.
LIBVIRT_PACKAGES = libvirt-daemon-system $(if $(wildcard /run/systemd/system),,libvirt-daemon-system-sysv) libvirt-clients
TEST_PACKAGES  = $(RUN_PACKAGES) $(QEMU_PACKAGES) $(LIBVIRT_PACKAGES) openvswitch-switch binutils dpdk-dev
BENCH_PACKAGES = $(RUN_PACKAGES) $(QEMU_PACKAGES) openvswitch-switch openvswitch-switch-dpdk vde2 iperf3 ethtool dpdk-dev

SOURCES := $(shell find dataplane -name '*.pyx' -o -name '*.pxd' -o -name '*.h')
FUZZED  := $(wildcard tests/fuzz/*.p[yx][xd])
READY    = $(VENV)/.ready
BUILT    = build/.built
DEBUG    = build/debug
OLDEST   = build/pyroute2-oldest
COVERAGE = build/coverage

.PHONY: demo test test-oldest test-long bench bench-full debug-build debug fuzz fuzz-coverage lint mutants build clean

demo: $(BUILT)
	@tools/debian-packages $(RUN_PACKAGES) $(if $(filter qemu,$(GUESTS)),$(QEMU_PACKAGES))
	$(RUN) -m vswitch demo --guests $(GUESTS)

test: $(BUILT)
	@tools/debian-packages $(TEST_PACKAGES)
	$(MAKE) --no-print-directory debug
	$(PYTEST) tests $(ARGS)
	$(if $(ARGS),,$(MAKE) --no-print-directory test-oldest)

# What vswitchd must live through, once more with the oldest pyroute2 that pyproject.toml allows; the venv has the newest.
LOWEST_PYROUTE2 = $(shell sed -n 's/.*"pyroute2>=\([0-9.]*\),.*/\1/p' pyproject.toml)

test-oldest: $(BUILT) $(OLDEST)/.ready
	$(SUDO) env VSWITCH_PYROUTE2=$(LOWEST_PYROUTE2) PYTHONPATH=$(CURDIR)/$(OLDEST):$(CURDIR) PATH="$$PATH:/usr/sbin:/sbin" \
	    $(abspath $(VENV))/bin/python -m pytest tests/host/test_life_cycle.py tests/host/test_life_cycle_changes.py

$(OLDEST)/.ready: pyproject.toml $(READY)
	rm -rf $(OLDEST)
	$(VENV)/bin/pip install -q --disable-pip-version-check --no-deps --target $(OLDEST) "pyroute2==$(LOWEST_PYROUTE2)"
	touch $@

test-long: $(BUILT)
	@tools/debian-packages $(TEST_PACKAGES)
	VSWITCH_LONG=1 $(PYTEST) tests $(ARGS)

bench: $(BUILT)
	@tools/debian-packages $(BENCH_PACKAGES)
	@$(VENV)/bin/pip install -q "matplotlib>=3.8,<4"
	$(RUN) -m benches $(if $(ONLY),--only $(ONLY))

bench-full: $(BUILT)
	@tools/debian-packages $(BENCH_PACKAGES)
	@$(VENV)/bin/pip install -q "matplotlib>=3.8,<4"
	$(RUN) -m benches --full

# A debug build after a release build in the same folder changes nothing, so it has a folder of its own, made anew.
SANITIZED = cd $(DEBUG) && env VSWITCH_DEBUG=1 LD_PRELOAD="$$(gcc -print-file-name=libasan.so)" \
    ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
    PYTHONPATH=. $(abspath $(VENV))/bin/python

debug-build: $(BUILT)
	rm -rf $(DEBUG)
	mkdir -p $(DEBUG)
	cp -r dataplane vswitch tests tools docs setup.py pyproject.toml README.md $(DEBUG)/
	find $(DEBUG) -name '*.so' -delete
	cd $(DEBUG) && VSWITCH_DEBUG=1 $(abspath $(VENV))/bin/python setup.py -q build_ext --inplace

debug: debug-build
	$(SANITIZED) -m pytest -q -p no:cacheprovider tests/dataplane $(ARGS)

# What ends a run is kept beside the other inputs, and from then on every test run begins with it.
fuzz: debug-build
	$(SANITIZED) -m tests.fuzz --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)); \
	    status=$$?; cp -r tests/fuzz/corpus $(CURDIR)/tests/fuzz/; exit $$status

fuzz-coverage: $(BUILT)
	rm -rf $(COVERAGE)
	mkdir -p $(COVERAGE)
	cp -r dataplane tests setup.py pyproject.toml README.md $(COVERAGE)/
	find $(COVERAGE) -name '*.so' -delete
	cd $(COVERAGE) && VSWITCH_COVERAGE=1 $(abspath $(VENV))/bin/python setup.py -q build_ext --inplace
	cd $(COVERAGE) && PYTHONPATH=. $(abspath $(VENV))/bin/python -m tests.fuzz.coverage

mutants: $(BUILT)
	@tools/debian-packages $(BUILD_PACKAGES)
	$(RUN) tools/mutants.py $(if $(SEED),--seed $(SEED))

lint: $(READY)
	@$(VENV)/bin/pip install -q ruff mypy cython-lint
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	PATH="$(abspath $(VENV))/bin:$$PATH" $(VENV)/bin/cython-lint benches dataplane

build: $(BUILT)

$(READY): pyproject.toml
	@tools/debian-packages $(BUILD_PACKAGES)
	[ -x $(VENV)/bin/python ] || $(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install -q --disable-pip-version-check "setuptools>=77" "Cython>=3.1,<4"
	$(VENV)/bin/pip install -q --disable-pip-version-check --no-build-isolation -e ".[test]"
	touch $@

$(BUILT): $(READY) setup.py $(SOURCES) $(FUZZED)
	$(VENV)/bin/python setup.py -q build_ext --inplace
	mkdir -p build && touch $@

clean:
	rm -rf build .venv *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -name '*.so' -delete -o -name __pycache__ -prune -exec rm -rf {} +

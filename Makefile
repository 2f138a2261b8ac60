# SPDX-License-Identifier: Apache-2.0
# make setup | demo | test | vm | vm-shell | test-vm | compatibility | conformance RUNTIME=… | check | format | golden | binary | bench |
#      install PREFIX=/usr/local | install-pip | uninstall | clean

PREFIX ?= /usr/local
# The first interpreter that is new enough.
PYTHON ?= $(firstword $(foreach p,python3 python3.14 python3.13 python3.12 python3.11,\
	$(shell $(p) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $(p))) python3)

BIN := .venv/bin
C_FILES := $(wildcard pyrunc/init/*.c pyrunc/init/*.h pyrunc/onefile/*.c pyrunc/onefile/*.h tests/bench/*.c)
ONEFILE := $(wildcard pyrunc/onefile/*.* pyrunc/onefile/standins/* spec/*.json)
PACKAGE := $(shell find pyrunc -name '*.py')
SCRIPTS := .ci/run .ci/packages .ci/pythons tests/demo.sh tests/v2view
# What `make test` does in the view of cgroup2 alone, too; all of it takes minutes: make test-v2view
V2VIEW := tests/containers
# What it does with dist/pyrunc, too: every layer of the runtime, and the libraries that the archive in it brings
BINARY_TESTS := lifecycle.py exec.py run.py seccomp.py net_devices.py errors_setup.py
CGROUP_TESTS := cgroups.py cgroup_mount.py lifecycle.py exec.py crash.py user_namespace.py rootless.py
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_ROOT_USER_ACTION := ignore

.DELETE_ON_ERROR:
.PHONY: setup demo test test-v2view test-binary binary-if-possible vm vm-shell test-vm compatibility conformance check format golden unit test-pythons binary bench install install-pip uninstall clean

# .venv/bin/pyrunc, working on the sources of this folder.
setup: .venv/setup.stamp pyrunc/init/pyrunc-init

# Shows what a container is, step by step.
demo:
	@.ci/packages '$(PYTHON)' demo
	@$(MAKE) --no-print-directory setup
	@PATH="$(CURDIR)/$(BIN):$$PATH" tests/demo.sh

# Everything that this machine allows; a skipped test names what is missing.
test: .venv/dev.stamp setup check test-pythons
	@.ci/packages '$(PYTHON)' test || true # without them tests are skipped, and name them
	@$(MAKE) --no-print-directory binary-if-possible
	$(BIN)/pytest
	@$(MAKE) --no-print-directory test-binary
	@$(MAKE) --no-print-directory test-v2view V2VIEW='$(addprefix tests/containers/test_,$(CGROUP_TESTS))'

# Container tests with dist/pyrunc.
test-binary: .venv/dev.stamp
	@if [ -e dist/pyrunc ]; then \
		PYRUNC='$(CURDIR)/dist/pyrunc' $(BIN)/pytest $(addprefix tests/containers/test_,$(BINARY_TESTS)); \
	else echo 'test-binary: skipped, there is no dist/pyrunc (make binary)'; fi

# Where apt or pip cannot give what it is made of, it is not there; a build that fails with all of it there is an error.
binary-if-possible:
	@$(MAKE) --no-print-directory binary || { \
		! { test -d build/onefile/packages && ls -d build/onefile/Python-*/Modules >/dev/null 2>&1; } && \
		rm -f dist/pyrunc && echo 'without the one-file binary: what it is made of cannot be had here'; }

# The container tests again, where cgroup2 is alone at /sys/fs/cgroup. Root; a host that has no other needs it not.
test-v2view: .venv/dev.stamp setup
	@if [ "$$(id -u)" != 0 ]; then echo 'test-v2view: skipped, needs root'; \
	elif [ -e /sys/fs/cgroup/cgroup.controllers ]; then echo 'test-v2view: skipped, cgroup2 is alone here already'; \
	else tests/v2view $(BIN)/pytest $(V2VIEW); fi

# A Debian with systemd, cgroup v2, AppArmor and every engine, as an emulated machine: its disk, a shell in it, the
# tests in it. TESTS are what is run there in place of what tests/bed/report.py names; the report is in .vm/report.
vm: setup
	@.ci/packages '$(PYTHON)' vm
	@$(BIN)/python -m tests.bed build

vm-shell: vm
	@$(MAKE) --no-print-directory binary || echo 'vm: with the package, as the one-file binary cannot be built here'
	@$(BIN)/python -m tests.bed shell

test-vm: vm
	@$(MAKE) --no-print-directory binary || echo 'vm: with the package, as the one-file binary cannot be built here'
	@$(BIN)/python -m tests.bed test $(TESTS)

# The tests of engines with pyrunc, runc and crun, and docs/engines/compatibility.md from their reports. Hours.
compatibility: vm
	@$(MAKE) --no-print-directory binary || echo 'vm: with the package, as the one-file binary cannot be built here'
	@$(BIN)/python -m tests.bed.compare $(TESTS)

# The quick part: no root, no container.
unit: .venv/dev.stamp setup
	$(BIN)/pytest -m 'not root and not rootless and not slow'

check: .venv/dev.stamp setup
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy --no-error-summary
	$(BIN)/python -m pyrunc.plan.ops --header | diff -u pyrunc/init/ops.h - # stale? write it to pyrunc/init/ops.h
	$(BIN)/clang-format --dry-run -Werror $(C_FILES)
	$(BIN)/shellcheck $(SCRIPTS)
	sed '/^exec /q' pyrunc/launcher/pyrunc | $(BIN)/shellcheck --shell=sh - # below its exec it is Python
	$(BIN)/codespell
	! command -v aarch64-linux-gnu-gcc >/dev/null || CC=aarch64-linux-gnu-gcc $(BIN)/python pyrunc/init/build.py .venv/pyrunc-init.aarch64

# What the specification asks of a runtime, one by one: make conformance RUNTIME=/usr/sbin/runc ARGS='--only 21-79'
RUNTIME ?= $(CURDIR)/$(BIN)/pyrunc
conformance: setup
	$(BIN)/python -m conformance --runtime '$(RUNTIME)' $(ARGS)

# Puts right what check can put right by itself.
format: .venv/dev.stamp
	$(BIN)/ruff check --quiet --fix-only .
	$(BIN)/ruff format --quiet .
	$(BIN)/clang-format -i $(C_FILES)

# Writes the listings of tests/plans anew; what `git diff` then shows is to be read, not only committed.
golden: .venv/dev.stamp
	PYTHONPATH=. $(BIN)/python tests/test_plans.py

# The unit tests on every other Python that is installed here and supported.
test-pythons: setup
	@.ci/pythons $(BIN)/python

# One file with Python in it, for a node that has none; it takes seconds, once apt and pip have fetched what it needs.
binary: dist/pyrunc

dist/pyrunc: $(ONEFILE) $(PACKAGE) pyrunc/init/pyrunc-init | .venv/setup.stamp
	@.ci/packages '$(PYTHON)' binary
	/usr/bin/python3.11 -B -m pyrunc.onefile.build $@ build/onefile

# dist/pyrunc, the pip form, runc and crun in turn: times, ratios, memory, limits; root. RUNC= and CRUN= name other ones.
# BENCH='--rounds 10 --only small' is a short one; JSON and pictures are in build/bench, with BENCH=--write in docs, too.
bench: .venv/setup.stamp pyrunc/init/pyrunc-init
	@$(MAKE) --no-print-directory binary || echo 'bench: without the one-file binary'
	@.ci/packages '$(PYTHON)' bench || true # a peer that is missing is named
	RUNC='$(RUNC)' CRUN='$(CRUN)' $(BIN)/python -m tests.bench $(BENCH)

# The one-file binary where it can be built, else the package in a virtual environment.
install:
	@if $(MAKE) --no-print-directory binary; then \
		mkdir -p '$(PREFIX)/bin' && cp dist/pyrunc '$(PREFIX)/bin/.pyrunc.new' && \
		mv -f '$(PREFIX)/bin/.pyrunc.new' '$(PREFIX)/bin/pyrunc' && rm -rf '$(PREFIX)/lib/pyrunc'; \
	else echo 'install: the one-file binary cannot be built here: make install-pip' && \
		$(MAKE) --no-print-directory install-pip; fi

install-pip:
	@.ci/packages '$(PYTHON)' build
	$(PYTHON) -m venv --clear '$(PREFIX)/lib/pyrunc'
	'$(PREFIX)/lib/pyrunc/bin/pip' install --quiet .
	mkdir -p '$(PREFIX)/bin'
	ln -sfn ../lib/pyrunc/bin/pyrunc '$(PREFIX)/bin/pyrunc'

uninstall:
	rm -rf '$(PREFIX)/lib/pyrunc'
	rm -f '$(PREFIX)/bin/pyrunc'

clean:
	rm -rf .venv .venv-* .vm .demo build dist pyrunc/init/pyrunc-init .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# pip is taken anew: the one in a Debian 12 venv knows no dependency groups.
.venv/bin/pip:
	@.ci/packages '$(PYTHON)' build
	$(PYTHON) -m venv --clear .venv
	.venv/bin/pip install --quiet 'pip>=25.1'
	@touch $@

.venv/setup.stamp: .venv/bin/pip pyproject.toml hatch_build.py pyrunc/__init__.py $(wildcard pyrunc/launcher/*)
	$(BIN)/pip install --quiet --editable .
	@touch $@

.venv/dev.stamp: .venv/setup.stamp pyproject.toml
	$(BIN)/pip install --quiet --group dev
	@touch $@

pyrunc/init/pyrunc-init: pyrunc/init/build.py $(C_FILES) | .venv/setup.stamp
	$(BIN)/python pyrunc/init/build.py

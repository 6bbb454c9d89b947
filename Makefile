# Every target sets up what it needs in .venv; `make help` lists them.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check -q

.DEFAULT_GOAL := help
.PHONY: help setup demo test oldest tensorflow check soak bench bench-peers bench-inprocess bench-aggregation matrix trainers pictures firmware docs clean apt

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "byzantiny needs Python 3.10 or newer; found $$($(PYTHON) --version). Try: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { echo "python's venv module is missing; on Debian: apt-get install python3-venv"; exit 2; }

# What is installed depends on pyproject.toml and on the C sources that the build hook compiles.
SOURCES := pyproject.toml hatch_build.py $(wildcard firmware_tools/core/*.[ch] firmware_tools/core/*/*.[ch] firmware_tools/boards/*/* host/byzantiny/kernels/csrc/*)

$(VENV)/.demo: $(BIN)/python $(SOURCES)
	@echo "setting up .venv (about a minute the first time)"
	@$(PIP) install -e '.[demo]'
	@touch $@

$(VENV)/.test: $(BIN)/python $(SOURCES)
	@echo "setting up .venv for the tests (about a minute the first time)"
	@$(PIP) install -e '.[test]'
	@touch $@ $(VENV)/.demo

setup: $(VENV)/.demo  ## set up .venv with what the demo needs

demo: $(VENV)/.demo  ## the main job: twelve clients, four of them Byzantine, three arms, a report
	@$(BIN)/byzantiny demo $(ARGS)

apt:  # what the tests use beyond Python, where this is a Debian system and we may install
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then \
	  command -v mosquitto >/dev/null 2>&1 && command -v qemu-system-arm >/dev/null 2>&1 && command -v chromium >/dev/null 2>&1 && command -v gcc >/dev/null 2>&1 || \
	  { echo "installing mosquitto, qemu-system-arm, chromium and gcc"; apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends mosquitto qemu-system-arm chromium gcc libc6-dev >/dev/null; } || \
	  echo "some packages could not be installed; the tests that need them will say so"; \
	fi

matrix: $(VENV)/.demo  ## a small suite 1: attacks against defences, and the wire taken apart (minutes)
	@$(BIN)/byzantiny sweep experiments/matrix.toml $(ARGS)

test: apt $(VENV)/.test  ## the whole suite; what is absent is skipped with a sentence
	@$(BIN)/python -m pytest -n auto --dist worksteal $(ARGS)

oldest: $(BIN)/python  ## the arithmetic again with the oldest NumPy that is supported
	@test -x $(VENV)-oldest/bin/python || $(PYTHON) -m venv $(VENV)-oldest
	@$(VENV)-oldest/bin/python -m pip --disable-pip-version-check -q install -e '.[data,firmware]' 'numpy==1.26.*' tflite tflite-micro tflite-runtime pytest pytest-timeout pytest-xdist hypothesis
	@$(VENV)-oldest/bin/python -m pytest -q -n auto --dist worksteal tests/models tests/kernels tests/aggregators tests/federation tests/wire tests/parity/test_oracle.py models

tensorflow: $(BIN)/python  ## what needs Keras and TensorFlow: templates again, Keras files, quantization-aware training (600 MB)
	@test -x $(VENV)-tensorflow/bin/python || $(PYTHON) -m venv $(VENV)-tensorflow
	@$(VENV)-tensorflow/bin/python -m pip --disable-pip-version-check -q install -e '.[data,tensorflow]' tflite pytest pytest-timeout hypothesis
	@$(VENV)-tensorflow/bin/python -m pytest -q -m tensorflow tests/models tests/cli/test_model.py tests/examples $(ARGS)

check: $(VENV)/.test  ## lint, types, layers, generated files
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m byzantiny_firmware.headers --check

soak: apt $(VENV)/.test  ## long runs, exhaustive searches, all kill instants (about an hour)
	@$(BIN)/python -m pytest -n auto --dist worksteal -m "not tensorflow" --timeout 3600 $(ARGS)

bench: $(VENV)/.test  ## ratios, measured side by side in one process
	@$(BIN)/python benchmarks/bench_median.py
	@$(BIN)/python benchmarks/bench_training.py
	@$(BIN)/python -m pytest -q benchmarks --benchmark-columns=median

# The peers bring torch, which PyPI ships for x86-64 Linux with 5 GB of CUDA; its own index has it without. Where that is out of
# reach, PyPI's does as well: the benchmark uses no GPU.
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu
PEERS := $(VENV)-peers

$(PEERS)/.installed: benchmarks/peers.txt $(SOURCES)
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' || { echo "the peers need Python 3.11 or 3.12; found $$($(PYTHON) --version). Try: make PYTHON=python3.11 bench-peers"; exit 2; }
	@test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	@echo "setting up $(PEERS) with Flower, ByzFL and ByzPy (two minutes and up to 6 GB the first time)"
	@$(PEERS)/bin/python -m pip --disable-pip-version-check -q --retries 0 --timeout 20 install --no-deps --index-url $(TORCH_INDEX) $$(grep -oE '^(torch|torchvision)==[^ ]+' benchmarks/peers.txt) 2>/dev/null || \
	  echo "torch without CUDA is out of reach ($(TORCH_INDEX)); taking it with CUDA"
	@$(PEERS)/bin/python -m pip --disable-pip-version-check -q install -e . -r benchmarks/peers.txt
	@touch $@

bench-peers: $(PEERS)/.installed  ## set up .venv-peers: the libraries that bench-aggregation compares with
	@$(PEERS)/bin/python -m pip list 2>/dev/null | grep -iE '^(byzantiny|flwr|byzfl|byzpy|torch|torchvision|numpy|scipy) '

BENCH := $(if $(wildcard $(PEERS)/bin/python),$(PEERS)/.installed,$(VENV)/.demo)

bench-inprocess: $(BENCH)  ## a client-round without frames, against Flower's simulation if it is set up
	@$(dir $(BENCH))bin/python benchmarks/bench_inprocess.py $(ARGS)

bench-aggregation: $(BENCH)  ## every rule against the peers, if they are set up, and against a plain read
	@$(dir $(BENCH))bin/python benchmarks/aggregation.py $(ARGS)

trainers: $(VENV)/.test  ## the tables of docs/training.md: every trainer, centralised and federated (5 minutes of CPU)
	@$(BIN)/python benchmarks/bench_trainers.py $(ARGS)
	@$(BIN)/python benchmarks/study_trainers.py $(ARGS)

pictures: $(VENV)/.demo  ## draw the pictures of docs/robustness.md, docs/data.md and of the rules' pages again
	@$(BIN)/byzantiny phase --out docs/pictures/phase-saturate.png
	@$(BIN)/byzantiny phase --attack sign-flip --out docs/pictures/phase-sign-flip.png
	@$(BIN)/byzantiny bias mean median trimmed-mean krum multi-krum nnm+trimmed-mean --out docs/pictures/max-bias.png
	@$(BIN)/byzantiny breakdown --all --out docs/rules/breakdown
	@$(BIN)/byzantiny partition experiments/partitions.toml --out docs/pictures/partitions.svg

firmware: $(VENV)/.test  ## rebuild the native libraries and the Cortex-M images
	@$(BIN)/byzantiny firmware build

clean:  ## remove .venv, builds and caches; runs/ stays
	rm -rf $(VENV) $(VENV)-oldest $(VENV)-tensorflow $(VENV)-peers build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks .import_linter_cache
	rm -rf firmware_tools/byzantiny_firmware/_built host/byzantiny/kernels/_built

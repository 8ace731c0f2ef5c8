# `make demo` and `make test` need Python >= 3.11, make and a network; each sets up .venv itself.
#
#   make test PYTHON=python3.12   with another interpreter
#   make test ARGS="-k wire"      with arguments for pytest

PYTHON ?= python3
ARGS ?=
N ?= 10000
SECONDS_EACH ?= 600
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# Every extra that needs no GPU.
EXTRAS := engine,web,train,mcap,mqtt,supervision,dev

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow fuzz fuzz-media parity lint format system clean
.PHONY: kernels-check kernels-faults gpu-check

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(STAMP) ## replay a generated clip through the trained model, live, and say who sounds
	@$(BIN)/streamavis demo

test: $(STAMP) ## run the tests (all that end within minutes)
	@$(BIN)/python -m pytest $(ARGS)

test-slow: $(STAMP) ## run the tests that take longer
	@$(BIN)/python -m pytest -m slow --timeout 1800 $(ARGS)

fuzz: $(STAMP) ## feed mutants to every reader of outside bytes: make fuzz SECONDS_EACH=3600 ARGS="wire"
	@PYTHONPATH=kernels $(BIN)/python tests/fuzz/fuzz.py --seconds $(SECONDS_EACH) $(ARGS)

parity: $(STAMP) ## compare AVISM with the reference's numbers: make parity STREAMAVIS_GOLDEN=DIR
	@STREAMAVIS_GOLDEN="$(STREAMAVIS_GOLDEN)" $(BIN)/python -m pytest -m parity --timeout 1800 $(ARGS)

fuzz-media: $(STAMP) ## feed N generated media items (10,000 by default) to reader and recorder
	@$(BIN)/python tests/io/fuzz_media.py --items $(N) $(ARGS)

kernels-check: $(STAMP) ## compile the kernels for every GPU, and run them under the address sanitizer
	@$(BIN)/python -c 'from cupy.cuda import nvrtc; nvrtc.getVersion()' 2>/dev/null || \
	  $(BIN)/python -m pip install --quiet --disable-pip-version-check \
	    --constraint constraints.txt --editable '.[kernels-check]'
	@PYTHONPATH=kernels $(BIN)/python -m kernel_checks.compile
	@PYTHONPATH=kernels $(BIN)/python -m kernel_checks.sanitize

kernels-faults: $(STAMP) ## break the kernels in known ways and see that the tests notice (minutes)
	@PYTHONPATH=kernels $(BIN)/python -m kernel_checks.mutations

gpu-check: $(STAMP) ## run the kernels on this machine's GPU: tests, sanitizers, benchmark
	@PYTHONPATH=kernels $(BIN)/python -m kernel_checks.gpu $(ARGS)

lint: $(STAMP) ## check style, format and types
	@status=0; \
	$(BIN)/ruff check . || status=1; \
	$(BIN)/ruff format --check . || status=1; \
	$(BIN)/mypy || status=1; \
	exit $$status

format: $(STAMP) ## put the code into its format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

system: ## install the system libraries that are missing (root or sudo, apt-get)
	@scripts/system

clean: ## remove .venv, builds and caches
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find streamavis kernels apps training benchmarks tests -name __pycache__ -prune -exec rm -rf {} +

# Touched last: an interrupted set-up starts again, a finished one costs nothing.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "$(PYTHON) is not Python >= 3.11; name one that is: make PYTHON=python3.12" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@echo "installing into $(VENV) (once; a few minutes)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	  --constraint constraints.txt --editable '.[$(EXTRAS)]'
	@$(BIN)/python -c 'import cv2' 2>/dev/null || { test "$$(id -u)" = 0 && scripts/system; } || true
	@$(BIN)/python -c 'import cv2' || { \
	  echo "opencv-python lacks a system library; run: make system" >&2; exit 1; }
	@touch $@

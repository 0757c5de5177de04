# make chat            a chat with the embedded demo model (MODEL=path or hf:owner/repo for another)
# make chat PROMPT="…" one answer on stdout
# make test            lint, types and tests
SHELL := /bin/bash
.SHELLFLAGS := -o pipefail -ec
.DEFAULT_GOAL := help
PYTHON ?= python3
MODEL ?=
PROMPT ?=
export PROMPT MODEL
# GCC drops the tile configuration of llama.cpp's AMX kernels, which then crash (ggml-org/llama.cpp#26954).
export CFLAGS += -U__AMX_INT8__
export CXXFLAGS += -U__AMX_INT8__

BIN := .venv/bin
# pip's own words are kept beside the environment; a line of them is shown where something takes long or fails.
WATCHED := 2>&1 | tee .venv/pip.log | sed -un 's/^ *\(Downloading llama.*\|Building wheel for .*\|ERROR.*\|error: .*\)/  \1/p' >&2

.PHONY: help chat test lint clean

help:
	@sed -n 's/^# //p' Makefile

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "accel: needs Python 3.11 or newer, $(PYTHON) is $$($(PYTHON) -V); set PYTHON=" >&2; exit 1; }
	@command -v c++ >/dev/null && command -v cmake >/dev/null \
	  || { echo "accel: llama.cpp is compiled here; install a C++ compiler and cmake: apt install g++ cmake" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip' 2>/dev/null || if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "accel: Python's venv module is missing; installing python3-venv" >&2; \
	    apt-get -q update >/dev/null && apt-get -q install -y python3-venv >/dev/null; \
	  else echo "accel: Python's venv module is missing: sudo apt install python3-venv" >&2; exit 1; fi
	@echo "accel: making .venv (once)" >&2
	@$(PYTHON) -m venv .venv

.venv/ready: pyproject.toml setup.py constraints.txt runtime/sampling.c runtime/engines/llama_decode.c runtime/engines/llama_taps.c offload/store.c offload/planes.c offload/planes.h exporters/low.c | .venv/bin/python
	@echo "accel: installing into .venv; llama.cpp is compiled once, for about 4 minutes, and comes from pip's cache later" >&2
	@$(BIN)/python -m pip install -e . -c constraints.txt $(WATCHED)
	@touch $@

.venv/ready-to-test: .venv/ready
	@echo "accel: installing what the tests need" >&2
	@$(BIN)/python -m pip install -e '.[dev,gpu]' -c constraints.txt $(WATCHED)
	@command -v chromium >/dev/null || if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "accel: installing chromium, in which the page is tested" >&2; \
	    apt-get -q update >/dev/null && apt-get -q install -y --no-install-recommends chromium >/dev/null || true; \
	  else echo "accel: without chromium the page's tests are skipped" >&2; fi
	@mkdir -p .venv/typing && ln -sfn ../.. .venv/typing/accel
	@touch $@

chat: .venv/ready
	@if [ -n "$$PROMPT" ]; then exec $(BIN)/accel chat $${MODEL:+"$$MODEL"} --prompt="$$PROMPT"; \
	else exec $(BIN)/accel chat $${MODEL:+"$$MODEL"}; fi

lint: .venv/ready-to-test
	@echo "accel: ruff" >&2
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@echo "accel: pyright" >&2
	@$(BIN)/pyright

test: lint
	@echo "accel: tests" >&2
	@$(BIN)/pytest

clean:
	rm -rf .venv build *.egg-info runtime/*.so runtime/engines/*.so offload/*.so exporters/*.so

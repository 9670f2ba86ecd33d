# One thread a test process: two processes of two threads on two cores spin in each other's way.
# CPU-only torch is pinned first: an open range would pull gigabytes of CUDA packages.
PYTHON ?= python3
TORCH ?= torch==2.13.0
SAAFE = .venv/bin/saafe

RUN ?= runs/RUN

.PHONY: train model test test-slow lint install clean

train: .venv/installed
	$(SAAFE) train ultra-fast

# saafe's own model, from a run that was trained on simulation alone: make model RUN=runs/...
model: .venv/installed
	$(SAAFE) export $(RUN) --to int8 --out saafe/model

test: .venv/installed-dev
	OMP_NUM_THREADS=1 .venv/bin/pytest -n 2

test-slow: .venv/installed-rivals
	OMP_NUM_THREADS=1 .venv/bin/pytest -n 2 -m "slow and not gpu"

lint: .venv/installed-dev
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/pyright --pythonpath .venv/bin/python

install: .venv/installed

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/installed: pyproject.toml | .venv/bin/python
	.venv/bin/python -m pip install --quiet --disable-pip-version-check "$(TORCH)"
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -e ".[train]"
	touch $@

.venv/installed-dev: pyproject.toml .venv/installed
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -e ".[train,dev,emulator]"
	touch $@

.venv/installed-rivals: pyproject.toml .venv/installed-dev
	.venv/bin/python -m pip install --quiet --disable-pip-version-check -e ".[rivals]"
	touch $@

clean:
	rm -rf .venv runs

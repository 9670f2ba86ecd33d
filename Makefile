# One thread a test process: two processes of two threads on two cores spin in each other's way.
# CPU-only torch is pinned first: an open range would pull gigabytes of CUDA packages.
PYTHON ?= python3
TORCH ?= torch==2.13.0
SAAFE = .venv/bin/saafe

RUN ?= runs/RUN
# whose thresholds stand in saafe's own model
DEVICES ?= airgradient-one amazon-air-quality-monitor awair-element ikea-vindstyrka purpleair-touch qingping-air-monitor-2 saafe-4 saafe-6 sonoff-snzb-02b uhoo-indoor

.PHONY: train model test test-slow coverage lint install docs notebooks reference licences lowest wheel release clean

train: .venv/installed
	$(SAAFE) train ultra-fast

# saafe's own model, from a run that was trained on simulation alone: make model RUN=runs/...
model: .venv/installed
	$(SAAFE) export $(RUN) --to int8 --exam --out saafe/model $(patsubst %,--device %,$(DEVICES))

test: .venv/installed-dev
	OMP_NUM_THREADS=1 .venv/bin/pytest -n 2

test-slow: .venv/installed-rivals
	OMP_NUM_THREADS=1 .venv/bin/pytest -n 2 --timeout 1800 -m "slow and not gpu"

# Lines of each file that the fast suite runs; takes some twenty minutes, so CI leaves it out.
coverage: .venv/installed-dev
	mkdir -p runs/.coverage
	OMP_NUM_THREADS=1 .venv/bin/python -m coverage run -m pytest -q
	.venv/bin/python -m coverage combine --quiet
	.venv/bin/python -m coverage report --skip-covered --sort cover

lint: .venv/installed-dev
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/pyright --pythonpath .venv/bin/python

install: .venv/installed

# The site, strictly: a warning or a link that leads nowhere is an error. It lands in docs/_build.
docs: .venv/installed-dev
	.venv/bin/python -m sphinx --fail-on-warning --keep-going -q -b html docs docs/_build

notebooks: .venv/installed-dev
	.venv/bin/python docs/run_notebooks.py

reference: .venv/installed-dev
	.venv/bin/python docs/make_reference.py
	.venv/bin/python docs/make_api.py

licences: .venv/installed-rivals
	.venv/bin/python docs/make_licences.py

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

# The lowest versions that pyproject.toml allows, in an environment of their own. torch stays $(TORCH):
# its lower bound was not tried. Packages that others bring are the newest.
lowest:
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --disable-pip-version-check uv "$(TORCH)"
	.venv-lowest/bin/python -c "from importlib.metadata import version; print('torch==' + version('torch'))" \
		> .venv-lowest/torch.txt
	.venv-lowest/bin/uv pip install --quiet --python .venv-lowest/bin/python --resolution lowest-direct \
		--constraint .venv-lowest/torch.txt -e ".[train,dev,emulator]"
	OMP_NUM_THREADS=1 .venv-lowest/bin/python -m pytest -n 2

# dist/saafe-*.whl, which detects in an empty environment: tests/test_wheel.py
wheel: .venv/bin/python
	.venv/bin/python -m pip wheel --quiet --no-deps --wheel-dir dist .

# sdist and wheel of a tag, checked, under dist/TAG, and what to upload: make release TAG=v0.2.0
release: .venv/bin/python
	.venv/bin/python -m pip install --quiet --disable-pip-version-check "hatchling>=1.26,<2"
	.venv/bin/python .ci/release.py $(TAG)

clean:
	rm -rf .venv .venv-lowest runs dist docs/_build

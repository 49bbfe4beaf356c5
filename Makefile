# `make demo` and `make test` need Python 3.10-3.13 with venv, and make; they install the rest.
# `make help` lists the targets.
PYTHON ?= python3
VENV ?= .venv
VENV_ADDONS ?= .venv-addons
RUNS ?= runs/demo
FLAGS ?=
BASE ?= HEAD~1
export TF_CPP_MIN_LOG_LEVEL ?= 2

.PHONY: help results demo test test-slow test-addons lint format notebook docs same-numbers bench \
	benchmark clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 14

demo: $(VENV)/.demo  ## from nothing to an adapted segmenter, on the phantom
	$(VENV)/bin/python -m cmda_tf.demo --flagfile=flags/demo.cfg --runs=$(RUNS) $(FLAGS)

test: $(VENV)/.test  ## the fast test suite
	$(VENV)/bin/python -m pytest -n auto --dist loadfile -m "not slow"

test-slow: $(VENV)/.test  ## the end-to-end tests, some minutes
	$(VENV)/bin/python -m pytest -m slow

test-addons: $(VENV_ADDONS)/.test  ## the fast suite on TensorFlow 2.15 with tensorflow-addons
	$(VENV_ADDONS)/bin/python -m pytest -n auto --dist loadfile -m "not slow"

lint: $(VENV)/.test  ## style, types, and what may import what
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

format: $(VENV)/.test  ## let ruff rewrite the code
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

notebook: $(VENV)/.test  ## execute the notebooks on the runs of the demo (RUNS=...)
	CMDA_TF_RUNS=$(abspath $(RUNS)) $(VENV)/bin/python notebooks/execute.py

results: $(VENV)/.demo  ## regenerate results/: every row of Table 1 on three phantoms, some hours
	$(VENV)/bin/python -m cmda_tf.reproduce --flagfile=flags/phantom.cfg --workers=2 --threads=1 \
	--seeds=0,1,2 --report=results

docs: $(VENV)/.demo  ## redraw docs/architecture.png from the topology table
	$(VENV)/bin/python -c "from cmda_tf.visualization import architecture, canvas; \
	canvas.save(architecture.draw(13), 'docs/architecture')"

same-numbers: $(VENV)/.test  ## compare the bits of tiny runs with those of BASE (a git revision)
	rm -rf build/base && git worktree prune && git worktree add --detach build/base $(BASE)
	$(VENV)/bin/python benchmarks/same_numbers.py --checkout=build/base --out=build/before.json
	$(VENV)/bin/python benchmarks/same_numbers.py --out=build/after.json
	git worktree remove --force build/base
	$(VENV)/bin/python benchmarks/same_numbers.py --compare=build/before.json,build/after.json

bench: $(VENV)/.test  ## the updates against PyTorch's and the arithmetic's limit, idle machine
	$(VENV)/bin/python -m pip install --quiet --editable ".[bench]"
	$(VENV)/bin/python benchmarks/speed/compare.py $(FLAGS)

benchmark: $(VENV)/.test  ## the input pipeline against the training step, by the profiler
	$(VENV)/bin/python benchmarks/input_pipeline.py

$(VENV)/.demo: setup.py
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --editable .
	touch $@

$(VENV)/.test: setup.py
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --editable ".[lint,test,notebooks,onnx]"
	touch $@ $(VENV)/.demo

$(VENV_ADDONS)/.test: setup.py
	$(PYTHON) -m venv $(VENV_ADDONS)
	$(VENV_ADDONS)/bin/python -m pip install --quiet --editable ".[test,addons]"
	touch $@

clean:  ## remove what can be made again, data and runs excepted
	rm -rf $(VENV) $(VENV_ADDONS) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis

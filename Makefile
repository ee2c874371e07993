# plonnx: `make demo` sets everything up and proves a digit, `make test` sets up what is missing and runs the tests.
# All of it lives in this folder: .venv (Python), native/target (Rust), .tools (solc and anvil), build (what the demo makes).

SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
NATIVE := native/Cargo.toml native/Cargo.lock $(wildcard native/*/Cargo.toml native/*/src/*.rs)
NODE := solidity/npm/package.json solidity/npm/package-lock.json
ARGS ?=
PEERS ?= default
LARGE ?=

.PHONY: help setup demo examples test kernels properties differential lint slither bench conformance estimators packages docs clean
.DEFAULT_GOAL := help

help:
	@echo 'make setup       an own .venv with the Rust kernels, solc and anvil in .tools'
	@echo 'make demo        setup, then compile, prove and verify a digit classifier, here and on an Ethereum node'
	@echo 'make examples    setup, then the examples of contracts that act on proofs, on a local node'
	@echo 'make test        setup, then the tests (ARGS="-k name" passes options to pytest)'
	@echo 'make kernels     the tests of the Rust kernels alone (part of make test)'
	@echo 'make properties  the property tests with many more examples'
	@echo 'make differential  10,000 changed proofs, public values and contexts: verifier, contracts and reference verifier say the same'
	@echo 'make lint        ruff, mypy, rustfmt and clippy: style, format and types'
	@echo 'make slither     slither on the verifiers and contracts of the examples; docs/slither.md answers what it finds'
	@echo 'make bench       docs/benchmarks.md, measured here in some 20 minutes; PEERS=all, PEERS=none, LARGE=1 (GPT-2); PLONNX_MODELS'
	@echo 'make conformance  ONNX cases of single nodes, compiled (ARGS="LSTM TopK" looks at those operators alone)'
	@echo 'make estimators  scikit-learn, XGBoost and LightGBM: how often circuits predict as they do (ARGS="forest svm")'
	@echo 'make packages    a source distribution and a wheel in build/dist, each tried in a fresh environment'
	@echo 'make docs        docs/gates.md, docs/operators.md and the pictures of the examples on a chain, derived from the code'
	@echo 'make clean       removes what was built'

setup: .venv/.installed .tools/.installed

.venv/pyvenv.cfg:
	@command -v $(PYTHON) >/dev/null || { echo 'Python is missing: install Python 3.11 or newer, or say which with make PYTHON=..' >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo '$(PYTHON) is too old: plonnx needs Python 3.11 or newer; say which with make PYTHON=..' >&2; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.installed: .venv/pyvenv.cfg pyproject.toml $(NATIVE)
	@command -v cargo >/dev/null || { echo 'Rust is missing (cargo): install it from https://rustup.rs and run make again' >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'setuptools>=77' 'setuptools-rust>=1.10'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation -e '.[dev]'
	@touch $@

# Without Node everything works but the EVM steps, so its absence is said and not an error. The lock file pins the digests; it
# knows anvil's binary for one platform only, which `npm ci` takes for an error and `npm install` does not.
.tools/.installed: $(NODE)
	@if ! command -v npm >/dev/null; then \
		echo 'Node.js is missing (npm): the EVM steps are left out; install Node 20 or newer and run make again' >&2; \
	else \
		mkdir -p .tools && cp $(NODE) .tools/ && echo 'npm install: solc and anvil, into .tools' && \
		npm install --prefix .tools --no-save --no-audit --no-fund --loglevel=error && touch $@; \
	fi

demo: setup
	@bash circuits/demo.sh

examples: setup
	@for name in agent evolving_nft score_oracle private_verdict; do \
		printf '\n$$ python -m circuits.%s\n' "$$name.$$name" && $(BIN)/python -m circuits.$$name.$$name || exit 1; \
	done

test: setup kernels
	$(BIN)/python -m pytest -n 2 $(ARGS)

kernels:
	@if command -v cargo >/dev/null; then \
		echo 'cargo test' && cargo test --quiet --profile tests --manifest-path native/Cargo.toml; \
	else \
		echo 'cargo is missing: the tests of the Rust kernels are left out' >&2; \
	fi

properties: setup
	$(BIN)/python -m pytest -n 2 -m hypothesis --hypothesis-profile=thorough $(ARGS)

differential: setup
	PLONNX_MUTATIONS=3400 $(BIN)/python -m pytest tests/evm/test_differential.py $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@if cargo fmt --version >/dev/null 2>&1; then \
		echo 'cargo fmt' && cargo fmt --all --check --manifest-path native/Cargo.toml; \
	fi
	@if cargo clippy --version >/dev/null 2>&1; then \
		echo 'cargo clippy' && \
		cargo clippy --quiet --release --all-targets --manifest-path native/Cargo.toml -- -D warnings; \
	fi

slither: setup
	PYTHONPATH=. $(BIN)/python .ci/slither.py

bench: setup
	$(BIN)/python -m bench.run --peers $(PEERS) $(if $(LARGE),--large) $(ARGS)

conformance: setup
	$(BIN)/python -m bench.conformance $(ARGS)

estimators: setup
	$(BIN)/python -m pip install --quiet --disable-pip-version-check skl2onnx onnxmltools xgboost lightgbm
	$(BIN)/python -m bench.estimators $(ARGS)

packages:
	@.ci/packages build/dist

docs: setup
	PYTHONPATH=. $(BIN)/python docs/gates.py $(ARGS)
	PYTHONPATH=. $(BIN)/python docs/operators.py $(ARGS)
	PYTHONPATH=. $(BIN)/python circuits/flow.py $(ARGS)

clean:
	rm -rf build native/target .tools .venv/.installed .pytest_cache .mypy_cache .ruff_cache .hypothesis plonnx.egg-info
	find plonnx compiler layout gadgets plonk kzg solidity tests bench -name __pycache__ -prune -exec rm -rf {} +

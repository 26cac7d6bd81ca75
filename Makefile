# Two commands do everything: `make book` and `make test`. `make help` lists the rest.

PYTHON ?= python3
SCALE ?= cpu
PORT ?= 8000
JOBS ?= 1
BUDGET ?= 9m
PYTEST_ARGS ?=
WORKERS ?= logical

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PYTEST := $(BIN)/python -m pytest --numprocesses $(WORKERS) --maxprocesses 4 --dist loadfile \
	--no-loadscope-reorder
NBVAL := --nbval --nbval-current-env --nbval-sanitize-with tests/nbval_sanitize.cfg

COLAB := https://raw.githubusercontent.com/googlecolab/backend-info/main/pip-freeze.txt
ON_COLAB := torch|torchvision|numpy|scipy|scikit-learn|pandas|pillow|matplotlib|seaborn|ipywidgets|ipython

export PYTHONUTF8 = 1
# Hash randomisation off: sets print in one order in every run of a notebook.
export PYTHONHASHSEED = 0

.DEFAULT_GOAL := help
.PHONY: help book test venv unit lint format nbval nbval-matrix coverage notebooks experiments experiments-gpu student test-site pdf slides lab serve doctor colab-versions clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

book: $(STAMP) ## Run the chapters that changed, then render the book to _build/html
	@$(BIN)/python -m tools.book

test: lint ## Lint and types, tests, and the committed notebooks run again and compared
	$(PYTEST) $(NBVAL) $(PYTEST_ARGS) tests notebooks

venv: $(STAMP) ## Make .venv and install everything into it

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 14))' || \
		{ echo "Python 3.10 to 3.13 is needed, but $(PYTHON) is" `$(PYTHON) --version`; exit 1; }
	@echo "Installing into $(VENV): torch is large, this takes some minutes"
	@start=`date +%s`; $(PYTHON) -m venv $(VENV) && \
		$(BIN)/python -m pip install --disable-pip-version-check --quiet --editable '.[book,test]' && \
		echo "  installed in $$((`date +%s` - start)) s"
	@touch $@

unit: $(STAMP) ## The tests without the notebooks
	$(PYTEST) $(PYTEST_ARGS) tests

lint: $(STAMP) ## ruff check, ruff format --check, mypy --strict
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict partlib tools experiments benchmarks

format: $(STAMP) ## Sort imports and format the code
	$(BIN)/ruff check --fix-only --select I .
	$(BIN)/ruff format .

nbval: $(STAMP) ## Run the committed notebooks again and compare their outputs
	$(BIN)/python -m pytest $(NBVAL) $(PYTEST_ARGS) notebooks

nbval-matrix: $(STAMP) ## The same with 1 and 2 threads, with and without wide vector instructions
	@set -e; for threads in 1 2; do for cpu in avx2 default; do \
		echo "OMP_NUM_THREADS=$$threads ATEN_CPU_CAPABILITY=$$cpu"; \
		OMP_NUM_THREADS=$$threads ATEN_CPU_CAPABILITY=$$cpu \
			$(BIN)/python -m pytest $(NBVAL) $(PYTEST_ARGS) notebooks; \
	done; done

coverage: $(STAMP) ## The tests without the notebooks, with a coverage report
	$(PYTEST) --cov --cov-report=term-missing $(PYTEST_ARGS) tests

notebooks: $(STAMP) ## Run the chapters that changed, at SCALE=cpu, gpu or paper, without rendering
	@$(BIN)/python -m tools.notebooks --scale $(SCALE)

test-site: $(STAMP) ## Open every page of the rendered book in a browser and look for faults
	NEEDED=1 $(BIN)/python -m pytest $(PYTEST_ARGS) tests/test_site.py tests/test_lab*.py

pdf: $(STAMP) ## Print the rendered book to _build/pdf/book.pdf, with Chromium or Chrome
	@$(BIN)/python -m tools.pdf

slides: $(STAMP) ## Make slides from the chapters, with speaker notes, in _build/slides
	@$(BIN)/python -m tools.slides

experiments: $(STAMP) ## Measure what is missing of scene-digits, then of CIFAR-10 at CPU scale
	$(BIN)/python -m experiments.scene_digits --jobs $(JOBS)
	$(BIN)/python -m experiments.cifar10_small --jobs $(JOBS)

experiments-gpu: $(STAMP) ## Measure CIFAR-10 with ResNet-18 for BUDGET=9m, then stop; next time goes on
	$(BIN)/python -m experiments.cifar10_resnet18 --jobs 2 --budget $(BUDGET)

student: $(STAMP) ## The chapters for a class, without solutions or outputs, to _build/student
	@$(BIN)/python -m tools.student

lab: $(STAMP) ## Open the chapters in JupyterLab, from notebooks, with answers and solutions folded
	$(BIN)/jupyter lab --LabApp.default_url=/lab/tree/notebooks \
		--LabApp.app_settings_dir=$(CURDIR)/tools/jupyterlab

serve: ## Serve the rendered book at http://localhost:8000 (PORT=...)
	@test -f _build/html/index.html || { echo 'There is no book yet: run `make book`'; exit 1; }
	$(PYTHON) -m http.server --bind localhost --directory _build/html $(PORT)

doctor: $(STAMP) ## Say what this machine has, and what each SCALE takes on it
	@$(BIN)/python -m partlib doctor

colab-versions: ## Fetch the versions that Colab has into _build/colab.txt, for PIP_CONSTRAINT
	@mkdir -p _build
	curl -fsSL $(COLAB) | sed -nE 's,^($(ON_COLAB))(==| @ .*/\1-)([0-9.]+).*,\1==\3,p' > _build/colab.txt
	@test -s _build/colab.txt

clean: ## Remove everything built, except .venv
	rm -rf _build .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage htmlcov

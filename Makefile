PYTHON ?= python3
TORCH := $(shell sed -n '/^torch==/p' requirements.lock)
JOBS ?= 2
BIN := .venv/bin
STAMP := .venv/.complete

export HF_HUB_OFFLINE := 1

.PHONY: demo test lint docs kernels bench paper paper-fresh
.NOTPARALLEL:

# Without a GPU CPU torch where its index is reachable (it is a tenth of the size), else whatever the usual index gives.
$(STAMP): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "physgen needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(if $(shell command -v nvidia-smi),false,$(BIN)/python -m pip install --no-deps --retries 0 --timeout 10 \
		--index-url https://download.pytorch.org/whl/cpu $(TORCH)) || $(BIN)/python -m pip install $(TORCH)
	$(BIN)/python -m pip install -r requirements.lock
	$(BIN)/python -m pip install --no-deps --no-build-isolation -e .
	touch $@

demo: $(STAMP)
	@out=demo; n=1; while [ -e $$out ]; do n=$$((n + 1)); out=demo-$$n; done; \
	$(BIN)/physgen sample prompt="two drops of green dye diffusing slowly in water" constraint=mass guidance=projection \
		seed=0 compare=true out=$$out && echo "$(CURDIR)/$$out"

test: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m "not slow" -n $(JOBS) --dist loadfile

.PHONY: test-all
test-all: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

kernels: $(STAMP)
	$(BIN)/python -m physgen.experiments.compiled

bench: $(STAMP)
	$(BIN)/python -m physgen.experiments.speed
	$(BIN)/physgen benchmark-guidance n=64 'seeds=[100]' steps=25 out=$$(mktemp -d)/heat

paper: $(STAMP)
	$(BIN)/physgen paper pdf

paper-fresh: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/physgen paper fresh

# docs/guides/protocol.md; weights and tasks are downloaded unless WEIGHTS and DATA name folders
MICROVERSE := conf/world/microverse.yaml
OUT := runs/protocol
.PHONY: protocol
protocol: $(STAMP)
	@test -n "$(CHECKPOINT)" || { echo "make protocol CHECKPOINT=FILE: a checkpoint of MicroVerse's trainer, or its folder"; exit 2; }
	$(if $(DATA),,$(BIN)/physgen benchmark fetch)
	$(if $(WEIGHTS),,HF_HUB_OFFLINE=0 $(BIN)/hf download \
		$(shell sed -n 's/^hub: //p' $(MICROVERSE)) --revision $(shell sed -n 's/^revision: //p' $(MICROVERSE)))
	$(BIN)/physgen benchmark protocol world=microverse $(if $(WEIGHTS),world.path=$(WEIGHTS)) checkpoint=$(CHECKPOINT) \
		$(if $(DATA),data=$(DATA)) out=$(OUT) $(OPTIONS)

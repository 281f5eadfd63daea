# Every target sets up what it needs in .venv, as a plain user, and installs it only once.
# Serving on a processor needs no torch; GPUs, training, TorchServe and the tests do, and then the
# first installation takes some minutes.
#
#   PYTHON=python3.12     another interpreter, 3.11 or newer
#   TORCH_INDEX=ADDRESS   another package index for torch alone; without it, where there is no NVIDIA
#                         GPU, PyTorch's own one of builds for processors, else pip's default build,
#                         on Linux the one for NVIDIA GPUs, several GB large
#   PORT=9000             where `make run` listens
#   WORKERS=ADDRESS       where `make serve-models` listens: http://127.0.0.1:8080 or unix:/path
#   DATA=FOLDER           labelled faces, for training and evaluation
#   ARGS="..."            further arguments for what the target starts

PYTHON ?= python3
TORCH_INDEX ?=
# Where there is an NVIDIA GPU, torch computes on it.
GPU := $(shell command -v nvidia-smi 2> /dev/null)
HOST ?= 127.0.0.1
PORT ?= 8000
WORKERS ?= http://127.0.0.1:8080
DATA ?=
RECIPES ?= fle-base fle-hand fle fll-hand fll iid-m dfa-base dfa-joint fadenn-m iid-d fadenn-d fadenn-s \
	fle-degraded fll-augmented dfa-taught dfa-mixed dfa-long dfa-longer fle-augmented dfa
TRACK_RECIPES ?= bt-base bt-2 bt-4 bt-8 bt-16 bt-32 fv dcrt
AFFECT_RECIPES ?= expressions voice vi-de au-de vi-des au-des avi-cas avi-gas disc aeg-cd anclaf \
	anclaf-s anclaf-sa aeg-cd-sz
ARGS ?=

# Every figure of docs/accuracy.md's section on speed, in some ten minutes; FIRST is version 0.1.
FIRST := 7c42361
BENCH_SHORT = $(BIN)/python -m tests.bench.align --requests 600 --pairs 60 \
	&& $(BIN)/python -m tests.bench.against $(FIRST) --rounds 5 --same-environment \
		--torchserve --out tests/bench/results/against.json \
	&& $(BIN)/python -m tests.bench.scaling \
	&& $(BIN)/python -m tests.bench.service_cost --out tests/bench/results/service_cost.json \
	&& $(BIN)/python -m tests.bench.live --sessions 1,4,16 --seconds 2 \
	&& $(BIN)/python -m tests.bench.speed_table

# Threads that wait sleep: spinning ones slow everything down beside other busy processes.
export OMP_WAIT_POLICY ?= PASSIVE

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
LOCK := requirements.lock
TORCH := $(shell grep '^torch==' $(LOCK))
INSTALL_TORCH = $(PIP) install --no-deps $(if $(TORCH_INDEX),--index-url $(TORCH_INDEX)) $(TORCH)
# uv knows where PyTorch keeps its builds; that for processors is a tenth as large.
INSTALL_CPU_TORCH = $(PIP) install --constraint $(LOCK) uv \
	&& $(BIN)/uv pip install --python $(BIN)/python --torch-backend cpu --no-deps $(TORCH)
SOURCES := .

# Many tests wait for servers: two processes share the files among them, a thread of torch each.
TEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

.DEFAULT_GOAL := help
.PHONY: help run test test-fast test-browser lint format models serve-models train-align \
	train-track train-affect evaluate bench bench-peers soak prove-compose audit pins attack lock clean

help: ## Show this list
	@echo "Countenance: face alignment as a service. Targets:"
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) \
		| awk -F'|' '{ printf "  make %-12s %s\n", $$1, $$2 }'

run: $(VENV)/.models $(if $(GPU),$(VENV)/.torch) ## Start the service on http://localhost:8000 (PORT=... for another)
	$(BIN)/countenance serve --host $(HOST) --port $(PORT) --log-format text $(ARGS)

test: $(VENV)/.all ## Run every test but the page's (some 10 minutes); says what is skipped and why
	$(TEST) $(ARGS)

test-fast: $(VENV)/.all ## Run the tests that are not marked slow (some minutes)
	$(TEST) -m "not slow" $(ARGS)

test-browser: $(VENV)/.browser ## Try the page in Chromium, and in Firefox if it is there; pictures in build/screenshots
	$(BIN)/python -m pytest tests/browser --screenshots build/screenshots $(ARGS)

lint: $(VENV)/.all ## Check style and types without changing anything (about a minute)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy

format: $(VENV)/.all ## Rewrite the sources in the project's style
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

models: $(VENV)/.workers ## Write the model directories that TorchServe loads, into build/
	$(BIN)/python -m handlers.torchserve build --out build/torchserve $(ARGS)

serve-models: $(VENV)/.workers ## Start TorchServe with the models on WORKERS=address
	@echo "The service uses it with COUNTENANCE_INFERENCE=$(WORKERS) make run"
	$(BIN)/python -m handlers.torchserve serve --address $(WORKERS) $(ARGS)

train-align: $(VENV)/.all ## Train the alignment models on DATA=folder (many hours; resumes)
	@test -n "$(DATA)" || { echo "Which faces? make train-align DATA=FOLDER"; exit 2; }
	$(BIN)/countenance train $(RECIPES) --data "$(DATA)" $(ARGS)

train-track: ## Train the tracker, after the alignment models, on DATA=folder (hours; resumes)
	@$(MAKE) --no-print-directory train-align RECIPES="$(TRACK_RECIPES)"

train-affect: $(VENV)/.all ## Train the affect models on DATA=folder with expressions and speech (hours; resumes)
	@test -n "$(DATA)" || { echo "Which faces and voices? make train-affect DATA=FOLDER"; exit 2; }
	$(BIN)/countenance train expressions-ferplus --data "$(DATA)" --model-store runs/ferplus $(ARGS)
	@$(MAKE) --no-print-directory train-align RECIPES="$(AFFECT_RECIPES)"

evaluate: $(VENV)/.all ## Measure the served predictor on labelled faces: DATA=folder (minutes)
	@test -n "$(DATA)" || { echo "Which faces? make evaluate DATA=FOLDER"; exit 2; }
	$(BIN)/countenance evaluate align --data "$(DATA)" $(ARGS)

bench: $(VENV)/.all ## Measure requests and live sessions, embedded and behind TorchServe (an hour), or ARGS='--against COMMIT', or ARGS=--short: all of it in ten minutes
	@case "$(ARGS)" in \
		--short) $(BENCH_SHORT) ;; \
		--against*) $(BIN)/python -m tests.bench.against $(patsubst --against%,%,$(ARGS)) ;; \
		*) $(BIN)/python -m tests.bench.align && $(BIN)/python -m tests.bench.live $(ARGS) ;; \
	esac

bench-peers: $(VENV)/.all $(VENV)/.peers ## Measure MediaPipe and dlib beside ours: DATA=folder with helen/test and /train
	@test -n "$(DATA)" || { echo "Which faces? make bench-peers DATA=folder"; exit 2; }
	$(BIN)/python -m tests.bench.peers --python $(VENV)/peers/bin/python \
		--data $(DATA)/helen/test --fit $(DATA)/helen/train $(ARGS)

soak: $(VENV)/.all ## Half an hour of mixed load on a real deployment: nothing may grow
	$(BIN)/python -m tests.serving.soak $(ARGS)

prove-compose: $(VENV)/.all $(VENV)/.compose ## Build and start all of compose by podman: as root, on Debian
	@command -v podman debootstrap > /dev/null || { echo "Needed: apt-get install --no-install-recommends \
		podman netavark aardvark-dns iptables runc catatonit debootstrap"; exit 2; }
	$(BIN)/python -m tests.serving.prove_compose --compose $(VENV)/compose/bin/podman-compose $(ARGS)

audit: $(VENV)/.audit ## Look every locked version up among known weaknesses (needs the internet)
	@$(VENV)/audit/bin/pip-audit --strict --no-deps --disable-pip --requirement $(LOCK) $(ARGS) \
		|| { echo "Not in order: a version is weak, or could not be looked up; see above."; exit 1; }

pins: $(VENV)/.all ## Say which images named by version are old: ARGS='--days 30 --registry MIRROR'
	@$(BIN)/python -m tests.serving.pins $(ARGS)

attack: $(VENV)/.all ## Try what one client can do to another, on loopback (minutes): ARGS=NAME for one
	$(BIN)/python -m tests.serving.attacks $(ARGS)

lock: $(VENV)/.all ## Write the versions that are installed now into requirements.lock
	@sed -n '/^#/p' $(LOCK) > $(VENV)/lock
	@$(PIP) freeze --exclude-editable | sed -n 's/^\([^ ]*==[^+ ]*\).*/\1/p' >> $(VENV)/lock
	@mv $(VENV)/lock $(LOCK)

clean: ## Remove the environment and what the tools left behind
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/.models: $(LOCK) pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 2; }
	@echo "Setting up $(VENV), once: the service and what computes its networks (about a minute)."
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --constraint $(LOCK) --editable ".[models]"
	@touch $@

# torch goes alone: asked for by another package it could come in another build.
$(VENV)/.torch: $(VENV)/.models
	@echo "Installing torch: seconds to many minutes, by your network."
	$(if $(TORCH_INDEX)$(GPU),$(INSTALL_TORCH),$(INSTALL_CPU_TORCH) || $(INSTALL_TORCH))
	$(PIP) install --constraint $(LOCK) --editable ".[gpu]"
	@touch $@

$(VENV)/.workers: $(VENV)/.torch
	@echo "Installing TorchServe and its Java (about a minute)."
	$(PIP) install --constraint $(LOCK) --editable ".[torchserve]"
	@touch $@

$(VENV)/.all: $(VENV)/.torch
	@echo "Installing what training and the tests need (about a minute)."
	$(PIP) install --constraint $(LOCK) --editable ".[models,torchserve,train,annotate,test]"
	@touch $@

# Chromium of the system where there is one, else Playwright's own, else Debian's package.
$(VENV)/.browser: $(VENV)/.all
	$(PIP) install --constraint $(LOCK) --editable ".[browser]"
	@command -v chromium || command -v google-chrome \
		|| $(BIN)/python -m playwright install chromium \
		|| { apt-get update && apt-get install --yes --no-install-recommends chromium; } \
		|| { echo "A browser is needed: install chromium (apt-get install chromium)"; exit 2; }
	@touch $@

# In environments of their own: what they need has no place in the lock file.
$(VENV)/.compose:
	mkdir -p $(VENV)
	$(PYTHON) -m venv $(VENV)/compose
	$(VENV)/compose/bin/python -m pip --disable-pip-version-check install podman-compose==1.6.0
	@touch $@

# Of all that MediaPipe names it needs these alone for faces.
$(VENV)/.peers:
	mkdir -p $(VENV)
	$(PYTHON) -m venv $(VENV)/peers
	$(VENV)/peers/bin/python -m pip --disable-pip-version-check install absl-py attrs flatbuffers \
		matplotlib "numpy<2" opencv-contrib-python-headless==4.11.0.86 "protobuf<5" dlib-bin==20.0.1.post1 \
		ai-edge-litert==2.3.0
	$(VENV)/peers/bin/python -m pip --disable-pip-version-check install --no-deps mediapipe==0.10.21 \
		face_recognition_models==0.3.0
	@touch $@

$(VENV)/.audit:
	mkdir -p $(VENV)
	$(PYTHON) -m venv $(VENV)/audit
	$(VENV)/audit/bin/python -m pip --disable-pip-version-check install pip-audit==2.10.1
	@touch $@

# make train   sets up .venv and trains ReMIX on Predator-Prey
# make test    sets up .venv, then lint, types and tests
# make check   the same without slow tests, for the loop of edits
#
# PYTHON picks the interpreter (3.10 to 3.12), RUN or RESULTS the folder of results,
# PROCESSES how many runs of a figure train at a time.

PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3.10 python3,$(shell $(p) -c 'import sys; print("$(p)" if (3, 10) <= sys.version_info < (3, 13) else "")' 2>/dev/null)))
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/set-up
ifndef RUN
RUN := results/$(shell date +%Y-%m-%d_%H-%M-%S)
endif
# Updates fill much memory anew, with the paper's settings gigabytes: the C library is told
# to keep it rather than to hand it back each time (glibc; harmless elsewhere).
KEEP_MEMORY := MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=20000000000 MALLOC_TOP_PAD_=500000000
MODEL := model=layers/mlp_relu_128 model@critic_model=layers/mlp_relu_128

FIGURES := figure-1 figure-2 figure-3 figure-4 figure-5

.PHONY: train test check test-ray coverage docs lint learning compare matrix paper smax \
  speed burn-in checkpoints \
  $(FIGURES) results-page clean
# Figures share a results folder, and some runs.
.NOTPARALLEL:

train: $(STAMP)
	$(BIN)/python -m benchmarl.run algorithm=remix task=predator_prey/punish_2 \
	  experiment=predator_prey $(MODEL) seed=0 hydra.run.dir="$(RUN)"
	$(BIN)/remix curves "$(RUN)"

# One thread per process: more wait for one another, spinning, for twice the time in all.
test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

# What a change usually breaks
check: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -q -m "not slow"

# The suites' tests with Ray, which needs an environment of its own
test-ray:
	sh scripts/set_up.sh "$(PYTHON)" $(VENV)-ray ray
	OMP_NUM_THREADS=1 $(VENV)-ray/bin/python -m pytest tests/suites -k ray

# Which lines the tests run: a table, and htmlcov/index.html
coverage: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --cov --cov-report=term \
	  --cov-report=html

# The documents as a site, site/index.html, in an environment without PyTorch
DOCS_BIN := $(VENV)-docs/bin

docs: $(VENV)-docs/set-up
	NO_MKDOCS_2_WARNING=1 $(DOCS_BIN)/python -m mkdocs build --strict
	@echo "The documents: site/index.html"

$(VENV)-docs/set-up: pyproject.toml
	"$(PYTHON)" -m venv --clear $(VENV)-docs
	$(DOCS_BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	$(DOCS_BIN)/python -m pip install --quiet --disable-pip-version-check --group docs
	touch $@

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The learning table of the README: ReMIX, OW-QMIX and BenchMARL's QMIX, three seeds
learning: $(STAMP)
	$(BIN)/python -m benchmarl.run -m algorithm=remix,owqmix,qmix \
	  task=predator_prey/punish_2 experiment=predator_prey $(MODEL) seed=0,1,2 \
	  experiment.max_n_frames=250_000 hydra.sweep.dir="$(RUN)"
	$(BIN)/remix curves "$(RUN)" \
	  --at 50000 100000 150000 200000 250000

# The comparison table of the README: all algorithms on two tasks, two seeds
compare: $(STAMP)
	$(BIN)/python -m benchmarl.run -m \
	  algorithm=remix,owqmix,cwqmix,tunedqmix,qplex,qatten,qtran,dop,fop,discretemaddpg,qmix,vdn,iql \
	  task=predator_prey/punish_0,predator_prey/punish_2 experiment=predator_prey \
	  $(MODEL) seed=0,1 hydra.sweep.dir="$(RUN)"
	$(BIN)/python -m benchmarl.run -m algorithm=vdac,vdacsum,coma \
	  task=predator_prey/punish_0,predator_prey/punish_2 \
	  experiment=predator_prey_on_policy $(MODEL) seed=0,1 \
	  hydra.sweep.dir="$(RUN)/on_policy"
	$(BIN)/remix curves "$(RUN)" --at 50000 100000 200000

# The matrix game's table of the README: five seeds of all algorithms
matrix: $(STAMP)
	$(BIN)/python scripts/matrix_game.py

# ReMIX with the paper's settings
FRAMES ?= 1_000_000

paper: $(STAMP)
	$(KEEP_MEMORY) $(BIN)/python -m benchmarl.run algorithm=paper/remix \
	  task=predator_prey/punish_2 task.observe_last_action=True \
	  experiment=paper_predator_prey \
	  model=layers/gru_64 model@critic_model=layers/gru_64 seed=0 \
	  experiment.max_n_frames=$(FRAMES) hydra.run.dir="$(RUN)"
	$(BIN)/remix curves "$(RUN)" --at $(subst _,,$(FRAMES))

# The SMAX table of the README: value-based algorithms on four maps with one seed, those
# with policies on one with two
smax: $(STAMP)
	$(BIN)/python -m benchmarl.run -m \
	  algorithm=remix,owqmix,cwqmix,tunedqmix,qplex,qatten,qtran,qmix,vdn,iql \
	  task=smax/3m,smax/3s_vs_5z,smax/6h_vs_8z,smax/5m_vs_6m experiment=smax \
	  $(MODEL) seed=0 experiment.max_n_frames=200_000 hydra.sweep.dir="$(RUN)"
	$(BIN)/python -m benchmarl.run -m algorithm=dop,fop,discretemaddpg task=smax/3m \
	  experiment=smax $(MODEL) seed=0,1 experiment.max_n_frames=200_000 \
	  hydra.sweep.dir="$(RUN)/policies"
	$(BIN)/python -m benchmarl.run -m algorithm=vdac,vdacsum,coma task=smax/3m \
	  experiment=smax_on_policy $(MODEL) seed=0,1 experiment.max_n_frames=200_000 \
	  hydra.sweep.dir="$(RUN)/on_policy"
	$(BIN)/remix curves "$(RUN)" --win-above 15 \
	  --at 48000 96000 144000 200000

# The figures of the ReMIX paper: runs what is not yet run, then draws all figures and
# writes report.html. With SCALE=smoke: runs of seconds, for all figures at once.
PROCESSES ?= 2
ifeq ($(SCALE),smoke)
RESULTS ?= results/smoke
$(FIGURES): SUITES = smoke smoke_punishments
else ifeq ($(SCALE),)
RESULTS ?= results/paper
$(FIGURES): SUITES = $(subst -,_,$@)
else
$(error SCALE=$(SCALE) is not allowed: it must be smoke, or not given)
endif

# Figures and report come even if runs have failed, which the report shows.
figure-1 figure-2 figure-3 figure-4 figure-5: $(STAMP)
	failed=0; \
	$(KEEP_MEMORY) $(BIN)/remix suite $(SUITES) --results "$(RESULTS)" \
	  --processes $(PROCESSES) --threads 1 || failed=$$?; \
	case $$failed in 0 | 1) ;; *) exit $$failed ;; esac; \
	$(BIN)/remix figures "$(RESULTS)" --out "$(RESULTS)/figures" \
	  || failed=$$?; \
	$(BIN)/remix report "$(RESULTS)" || failed=$$?; \
	exit $$failed

# The numbers of docs/RESULTS.md, from the results that are kept in docs/results
results-page: $(STAMP)
	$(BIN)/python scripts/results_page.py

# What burn_in=stored costs and gains
burn-in: $(STAMP)
	$(BIN)/python benchmarks/burn_in.py

# What a checkpoint costs, in seconds and bytes
checkpoints: $(STAMP)
	$(BIN)/python benchmarks/checkpoints.py

# The speed tables of the README
speed: $(STAMP)
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/gru.py
	$(BIN)/python benchmarks/smax.py

$(STAMP): pyproject.toml constraints.txt scripts/set_up.sh
	sh scripts/set_up.sh "$(PYTHON)" "$(VENV)"
	touch $@

clean:
	rm -rf $(VENV) $(VENV)-ray $(VENV)-docs

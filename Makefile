# Two commands are enough: `make run` and `make test`.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
PART ?= faults crashes year jobs attacks daemon
SOAK_faults := tests/integration/retention/test_faults.py
SOAK_crashes := tests/integration/retention/test_crashes.py
SOAK_year := tests/integration/retention/test_simulated_year.py tests/integration/retention_rules
SOAK_jobs := tests/end_to_end/retention/test_trainers.py
SOAK_attacks := tests/integration/test_attacks.py
SOAK_daemon := $(filter-out $(SOAK_jobs),$(wildcard tests/end_to_end/retention/test_*.py))

.PHONY: run test lint unit docs wheel deb changelog wild fuzz soak bench imports clean

run: $(STAMP)
	$(BIN)/checkpointd demo

test: $(STAMP)
	bash .ci/check

lint: $(STAMP)
	bash .ci/check lint

unit: $(STAMP)
	$(BIN)/python -m pytest -n logical tests/unit

docs: $(STAMP)
	$(BIN)/python .ci/docs
	$(BIN)/python .ci/dashboard

wheel: $(STAMP)
	$(BIN)/python -m hatchling build -t wheel -d dist

deb: wheel
	$(BIN)/checkpointd docs --man > dist/checkpointd.1
	.ci/deb dist/checkpointd-*.whl dist/checkpointd.1 dist

changelog: $(STAMP)
	$(BIN)/python .ci/changelog $(VERSION)

wild: $(STAMP)
	WILD=all $(BIN)/python -m pytest -m "large or not large" tests/wild tests/integration/test_wild_formats.py tests/integration/test_wild_large.py

fuzz: $(STAMP)
	FUZZ=$${FUZZ:-2000} FUZZ_LOAD=$${FUZZ_LOAD:-1} FUZZ_KEEP=$${FUZZ_KEEP:-fuzz-failures} $(BIN)/python -m pytest -x tests/integration/test_fuzz.py

soak: $(STAMP)
	SOAK=1 $(BIN)/python -m pytest -v -n $(or $(PROCESSES),logical) $(foreach part,$(PART),$(SOAK_$(part)))

bench: $(STAMP)
	$(BIN)/python -m tests.bench $(ROW)

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "checkpointd needs Python 3.11 or newer; name one with: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable ".[attest,buckets,dask,legacy]" --group dev
	@touch $(STAMP)

imports: $(STAMP)
	$(BIN)/python .ci/imports

clean:
	rm -rf .venv .venv-keras2 .venv-jax build dist *.egg-info

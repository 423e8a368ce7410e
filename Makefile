# All that a newcomer needs: `make run` to try keywright, `make test` to check it.
# Needs Python 3.11 or newer and make; everything else comes from PyPI into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DATA_DIR ?= .data/postgres
LOCKS := deploy/requirements
# With hashes, for every platform and Python, and without the address of any package index.
COMPILE := pip compile ../../pyproject.toml --quiet --universal --python-version 3.11 --upgrade \
	--generate-hashes --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock"

.DEFAULT_GOAL := help
.PHONY: help run admin-token test test-slow test-load test-model model-traces test-consistency test-proxies test-clients test-front test-front-consistency test-browser screenshots test-all lint format proto bench soak lock system-deps audit clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-22s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(READY) ## Serve on 127.0.0.1:7700 with an embedded PostgreSQL; the first run prints the admin's token
	@exec "$(BIN)/keywright" dev --data-dir "$(DATA_DIR)"

admin-token: $(READY) ## Print a new token of the first admin, while `make run` runs or not
	@"$(BIN)/keywright" dev --data-dir "$(DATA_DIR)" --new-admin-token

test: $(READY) ## Run the tests (10 minutes at most)
	"$(BIN)/pytest" -n 3 --dist loadfile -m "not slow"

test-slow: $(READY) ## Run what takes long: every command, builds without guards, caches explored at length
	"$(BIN)/pytest" -n 2 --dist loadfile -m slow tests --ignore=tests/model --ignore=tests/consistency \
		--ignore=tests/adversity --ignore=tests/proxies --ignore=tests/browser --ignore=tests/clients

# One after the other: each wants the machine, or its descriptors, for itself.
test-load: $(READY) ## Attack a server, and see that others do not notice
	"$(BIN)/pytest" -m slow tests/adversity

test-model: $(READY) ## Explore the model of the consistency protocol, whole and with each planted mistake
	"$(BIN)/pytest" -n 2 -m slow tests/model

model-traces: $(READY) ## Write the counterexamples of the model's planted mistakes anew
	"$(BIN)/python" -m tests.model.searches

# In one process: it measures what takes time, and prints what it has seen.
test-consistency: $(READY) ## Check histories of real servers, under faults and with planted mistakes
	"$(BIN)/pytest" -m slow tests/consistency -s

# The first run installs Envoy, Traefik and Caddy, each for itself.
test-proxies: $(READY) ## Have real proxies ask a sidecar, with the configurations in deploy (5 minutes at most)
	"$(BIN)/pytest" -n 2 --dist loadfile -m slow tests/proxies

# The first run installs an OpenID Connect provider and axe-core with npm.
test-browser: $(READY) ## Have Chromium use the console, with a real identity provider (6 minutes at most)
	"$(BIN)/pytest" -n 2 --dist loadfile -m slow tests/browser

screenshots: $(READY) ## Write the pictures of the console in docs/guides/console, and others in .data/screenshots; needs `make system-deps`
	"$(BIN)/python" -m tests.browser.screenshots

# The first run makes the clients of the contract, by each language's own generator.
test-clients: $(READY) ## Have clients of other languages call, generated from protos/, and malformed ones (4 minutes at most)
	"$(BIN)/pytest" -n 2 --dist loadfile -m slow tests/clients

# The tests of what comes over gRPC, as they are. Those of processes, storage, settings, the log and
# the sidecar begin no call that the front could tell apart; `tests/integration/test_front.py` has
# the front's own life.
FRONT_TESTS := tests/security tests/seeds $(patsubst %,tests/integration/test_%.py, \
	audit_events authenticate authenticate_stream authenticator batch explain finding_keys grants \
	grpc_interceptors health interceptors key_changes keys leaks limits listing reflection \
	request_ids roles sdk_clients service_users sessions user_changes users watch whoami workspaces)

test-front: $(READY) ## Run the tests of calls once more, with Envoy in front (8 minutes at most)
	TESTED_FRONT=envoy "$(BIN)/pytest" -n 3 --dist loadfile -m "not slow" $(FRONT_TESTS)

# A suite of its own, as it wants the machine for itself.
test-front-consistency: $(READY) ## Check a history of a million decisions with Envoy in front (8 minutes at most)
	TESTED_FRONT=envoy "$(BIN)/pytest" -m slow tests/consistency/test_history.py -k nothing_is_allowed -s

test-all: system-deps test test-slow test-load test-model test-consistency test-proxies test-clients test-front test-front-consistency test-browser ## Run the slow suites too; Debian and root only

lint: $(READY) ## Check style, types, imports, the wire contract and the generated code
	"$(BIN)/ruff" check
	"$(BIN)/ruff" format --check
	"$(BIN)/mypy"
	"$(BIN)/lint-imports"
	"$(BIN)/buf" lint protos
	"$(BIN)/buf" format protos --path protos/keywright --diff --exit-code
	"$(BIN)/python" protos/generate.py --check

format: $(READY) ## Bring the code into its style
	"$(BIN)/ruff" check --fix
	"$(BIN)/ruff" format
	"$(BIN)/buf" format protos --path protos/keywright --write

proto: $(READY) ## Generate src/keywright/v1, and the sidecar's code for Envoy, from protos/
	"$(BIN)/python" protos/generate.py

bench: $(READY) ## Measure (15 minutes at most), and write docs/performance.md
	"$(BIN)/python" -m bench $(BENCH_OPTIONS)

soak: $(READY) ## Answer ten million calls, and see that memory and open files do not grow (an hour)
	"$(BIN)/python" -m bench soak $(BENCH_OPTIONS)

lock: $(READY) ## Renew the locks in deploy/requirements from pyproject.toml
	cd $(LOCKS) && "$(abspath $(BIN)/uv)" $(COMPILE) --extra server -c constraints.txt -o server.lock
	cd $(LOCKS) && "$(abspath $(BIN)/uv)" $(COMPILE) --extra server --extra front --extra sidecar --extra console --extra embedded --group ../../pyproject.toml:dev \
		-c server.lock -o dev.lock

audit: $(READY) ## Look for known vulnerabilities in what the server needs
	"$(BIN)/pip-audit" --require-hashes --disable-pip -r $(LOCKS)/server.lock

system-deps: ## Install the Debian packages that the slow suites need
	apt-get update --quiet
	apt-get install --yes --quiet --no-install-recommends gcc libc6-dev nghttp2-client nginx-light spin \
		chromium fonts-noto-color-emoji
	command -v go >/dev/null || apt-get install --yes --quiet --no-install-recommends golang-go
	command -v npm >/dev/null || apt-get install --yes --quiet --no-install-recommends nodejs npm

clean: ## Remove the virtual environment, caches and the embedded database's data
	rm -rf $(VENV) .data .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis dist

$(READY): $(LOCKS)/dev.lock pyproject.toml
	@echo "Setting up $(VENV) (once; about a minute) ..." >&2
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "keywright needs Python 3.11 or newer: set PYTHON=..." >&2; exit 1; }
	@"$(PYTHON)" -m venv $(VENV)
	@"$(BIN)/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r $(LOCKS)/dev.lock
	@"$(BIN)/python" -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

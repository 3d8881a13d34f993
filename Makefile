# What one does here, each as one command; `make` alone lists them. Needs GNU make, a POSIX shell and Python 3.11.
.DEFAULT_GOAL := help
.PHONY: help install install-analytics demo test test-chaos programs test-unit test-integration test-controlplane test-observability test-push test-console test-analytics test-analytics-whole test-spark charts workflows coverage lint format bench bench-console bench-operator bench-analytics picture lock clean

BIN := .venv/bin
RUN := $(BIN)/python -m
STAMP := .venv/.installed
FLOW ?= manifests/flows/shop.yaml
DEMO ?= --fail payment=5%,shipping=1%,unknown=1%
PYTEST_ARGS ?=
CHAOS ?= tenth
PYTEST := $(RUN) pytest --chaos=$(CHAOS) --durations=15 --durations-min=5
WORKERS ?= 2 # of tests that compute
WAITERS ?= 5 # of tests that mostly wait
PARTS ?= lint test-unit workflows test-controlplane test-integration charts test-observability test-console analytics-if-installed
UPGRADE ?=
QUICK ?=
AGAINST ?=
MATPLOTLIB := 3.10.3
IMAGES := operator services
TESTS ?= tests/e2e

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: $(STAMP) ## make .venv with everything, by hashes; the `orderflow` command is in .venv/bin

$(STAMP): requirements.lock requirements-bootstrap.lock pyproject.toml tools/install tools/find-python
	@tools/install
	@touch $@

ANALYTICS := analytics/.venv/.installed

install-analytics: $(ANALYTICS) ## make analytics/.venv with what the lake and its models need besides, by hashes (about 1 GB)

$(ANALYTICS): $(STAMP) analytics/requirements.lock tools/install-analytics
	@tools/install-analytics
	@touch $@

demo: install ## run the shop flow with failing orders: until Ctrl-C, or 500 orders where there is no terminal
	@if [ -t 1 ]; then load=; else load='--orders 500 --until-done'; fi; \
	exec $(BIN)/orderflow run $(FLOW) $(DEMO) $$load

test: install ## lint and all tests that this machine can run, the time of each and what was skipped and why
	@MAKE='$(MAKE)' $(BIN)/python tools/parts.py --beside programs $(PARTS)

test-chaos: install ## the long tests whole, after `make kind-up` those of the cluster too; CHAOS in `make test` is a tenth of them, or slice:K/10
	@tools/kind run $(RUN) pytest --chaos=whole -m chaos tests/unit tests/integration tests/controlplane tests/observability \
	  tests/e2e $(PYTEST_ARGS)
	@ORDERFLOW_TEST_PLACEMENT=Together $(RUN) pytest --chaos=whole tests/integration/faults $(PYTEST_ARGS)

programs: install ## compile what tests need, from Go modules, each once; `make test` does it beside its first parts
	@PYTHONPATH=tests $(RUN) support.tools.ahead

test-unit: install ## tests that need nothing but Python
	@$(PYTEST) -n $(WORKERS) tests/unit $(PYTEST_ARGS)

test-integration: install ## tests on real Kafka and Postgres, which they start themselves (Java 17 and Maven)
	@$(PYTEST) -n $(WORKERS) --dist loadscope tests/integration $(PYTEST_ARGS)

test-controlplane: install ## tests of the operator on a real API server, compiled from Go modules at the first run
	@$(PYTEST) -n $(WAITERS) --dist worksteal tests/controlplane $(PYTEST_ARGS)

test-observability: install ## tests of traces, metrics, dashboards and alerts, as their tools would see them
	@$(PYTEST) -n $(WAITERS) --dist loadscope tests/observability $(PYTEST_ARGS)

CONSOLE_TESTS := .venv/.console-tests

$(CONSOLE_TESTS): $(STAMP) tests/tools/console/requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes --requirement tests/tools/console/requirements.lock
	@touch $@

test-console: $(CONSOLE_TESTS) ## tests of the console on a running flow, in the machine's Chromium; leaves pictures in artifacts/console
	@$(PYTEST) tests/console $(PYTEST_ARGS)

test-analytics: install-analytics ## tests of the lake and its models, on a real Postgres and Kafka, in an environment of their own
	@analytics/.venv/bin/python -m pytest --chaos=$(CHAOS) --durations=15 --durations-min=5 tests/analytics $(PYTEST_ARGS)

test-analytics-whole: install-analytics ## 100,000 orders of TPC-H from services to marts, to the cent (half an hour)
	@ORDERFLOW_TEST_ORDERS=100000 analytics/.venv/bin/python -m pytest -o timeout=3600 tests/analytics/test_shop.py $(PYTEST_ARGS)

test-spark: install-analytics ## that Spark reads the lake as others do; fetches Spark (PyPI) and its jars for Delta (Maven)
	@ORDERFLOW_TEST_SPARK=1 analytics/.venv/bin/python -m pytest tests/analytics/test_readers.py $(PYTEST_ARGS)

.PHONY: analytics-if-installed
analytics-if-installed: install
	@if [ -e $(ANALYTICS) ]; then $(MAKE) --no-print-directory test-analytics; \
	else echo 'SKIPPED [all] tests/analytics: make install-analytics was not run'; fi

charts: install ## render the charts, judge them with Helm, kube-score (Go) and checkov, try them on an API server
	@$(PYTEST) -n $(WORKERS) --dist loadscope tests/charts $(PYTEST_ARGS)

workflows: install ## read the GitHub workflows with actionlint (compiled from Go modules at the first run) and zizmor
	@$(PYTEST) tests/workflows $(PYTEST_ARGS)

coverage: install ## branches of runtime and model that the tests reach; fails below 95 %
	@$(PYTEST) tests/unit tests/integration --cov --cov-report=term-missing:skip-covered $(PYTEST_ARGS)

lint: install ## style, types, the direction of imports, the tree's own rules, and that all tests can be imported
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/shellcheck $$(git grep --untracked -lE '^#!/.*\bsh$$' -- ':!*.md' ':!*.py')
	@$(BIN)/python tools/check_tree.py
	@$(RUN) tools.check_names
	@$(RUN) tools.check_dialect
	@$(BIN)/python tools/draw_imports.py --check
	@$(RUN) tools.draw_commands --check
	@found=$$($(RUN) pytest --collect-only -q tests --ignore=tests/analytics \
	  $(if $(wildcard $(CONSOLE_TESTS)),,--ignore=tests/console) 2>&1) || { echo "$$found" | grep -v ::; exit 1; }

format: install ## put the code into form
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: install ## measure against the limits of Kafka and Postgres, or with AGAINST=REF against another commit, QUICK=1 roughly; writes artifacts/bench.json
	@$(BIN)/python tests/bench/bench.py $(if $(AGAINST),--against $(AGAINST)) $(if $(QUICK),--quick)

bench-console: install ## measure the console's pages and a bulk redrive on a large flow (half an hour); writes artifacts/bench-console.json
	@$(BIN)/python tests/bench/bench_console.py

bench-operator: install ## measure the operator with 100 and 1,000 flows; writes artifacts/bench-operator.json
	@$(BIN)/python tests/bench/bench_operator.py

bench-analytics: install-analytics ## measure sink, export and marts against COPY and plain writing, EVENTS=1000000; writes artifacts/bench-analytics.json
	@analytics/.venv/bin/python tests/bench/bench_analytics.py $(if $(EVENTS),--events $(EVENTS))

picture: install ## draw docs/dashboard.png of the flow that runs here (make demo), after some minutes, by a real Prometheus
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --target artifacts/matplotlib matplotlib==$(MATPLOTLIB)
	@PYTHONPATH=artifacts/matplotlib $(BIN)/python tests/bench/picture.py

lock: install ## write the hashed locks anew for pyproject.toml; UPGRADE=--upgrade takes newest versions
	@$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 $(UPGRADE) \
	  --generate-hashes --no-header --quiet --output-file requirements.lock
	@echo uv | $(BIN)/uv pip compile - --universal --python-version 3.11 $(UPGRADE) \
	  --generate-hashes --no-header --no-annotate --quiet --output-file requirements-bootstrap.lock
	@for image in $(IMAGES); do $(BIN)/uv pip compile pyproject.toml --extra $$image --universal --python-version 3.13 \
	  --constraint requirements.lock --generate-hashes --no-header --no-annotate --quiet \
	  --output-file $$image/requirements.lock; done
	@$(BIN)/uv pip compile pyproject.toml analytics/requirements.in --all-extras --universal --python-version 3.11 $(UPGRADE) \
	  --no-emit-package dbt-core-experimental-parser --generate-hashes --no-header --quiet \
	  --output-file analytics/requirements.lock
	@for tool in checkov console readers spark store; do $(BIN)/uv pip compile tests/tools/$$tool/requirements.in --universal \
	  --python-version 3.11 $(UPGRADE) --generate-hashes --no-header --no-annotate --quiet \
	  --output-file tests/tools/$$tool/requirements.lock; done
	@$(BIN)/uv pip compile pyproject.toml analytics/image.in --extra services --universal --python-version 3.13 \
	  --constraint analytics/requirements.lock --no-emit-package dbt-core-experimental-parser --generate-hashes \
	  --no-header --no-annotate --quiet --output-file analytics/image.lock

.PHONY: images kind-up e2e e2e-lake e2e-strimzi kind-down
images: ## build orderflow/operator:dev and orderflow/services:dev; quick when nothing changed
	@tools/images

.PHONY: image-analytics
image-analytics: ## build orderflow/analytics:dev, of what fills a lake (about 1 GB)
	@tools/images analytics

kind-up: ## a kind cluster with our images in it; what is there already stays
	@tools/kind up
	@tools/kind load

e2e: install ## install the charts into the cluster of the current context, which has to be kind's, and use them
	@tools/kind run $(RUN) pytest $(TESTS) -o log_cli=true -o log_cli_level=INFO -o log_cli_format='%(message)s' $(PYTEST_ARGS)

e2e-lake: install ## the lake's pod, on an S3 in the cluster that make kind-up made: its image is 750 MB, so this is not part of e2e
	@tools/kind lake
	@ORDERFLOW_E2E_LAKE=1 $(MAKE) --no-print-directory e2e TESTS=tests/e2e/test_3_lake.py

e2e-strimzi: install ## the same on Strimzi, which comes by its own chart: where images can be pulled
	@tools/kind run $(RUN) pytest tests/strimzi $(PYTEST_ARGS)

kind-down: ## remove the cluster
	@tools/kind down

.PHONY: soak go-tools
soak: install ## a steady load for SOAK_MINUTES (10) with processes dying; writes artifacts/soak.json
	@$(RUN) pytest -s tests/soak $(PYTEST_ARGS)

go-tools: ## compile TOOLS (kind helm), as tests/tools pins them, into Go's own bin folder
	@for tool in $${TOOLS:-kind helm}; do (cd "tests/tools/$$tool" && CGO_ENABLED=0 go install -trimpath tool) || exit; done

.PHONY: release-check release release-sign release-page
release-check: install ## the tree names one version; with TAG=v1.2.3 it is that one, and the changelog tells of it
	@$(BIN)/python tools/release.py check "$$TAG"

release: install ## build and push images and charts of TAG to REGISTRY (Docker with buildx, Helm; logged in)
	@$(BIN)/python tools/release.py publish "$$TAG" "$$REGISTRY"

release-sign: ## sign ARTIFACTS, each NAME@sha256:…, with cosign and the identity of this run
	@for artifact in $$ARTIFACTS; do case $$artifact in *@sha256:*) cosign sign --yes "$$artifact" || exit ;; \
	  *) echo "$$artifact is not signed: a tag may be moved afterwards; say NAME@sha256:…" >&2; exit 1 ;; esac; done

release-page: ## make the page of TAG on GitHub from what `make release` left in artifacts/release
	@gh release create "$$TAG" --verify-tag --title "$$TAG" --notes-file artifacts/release/notes.md \
	  artifacts/release/*.tgz artifacts/release/*.yaml artifacts/release/artifacts.json

clean: ## remove caches, artifacts and the data of laptop runs; .venv stays
	rm -rf .orderflow artifacts dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage*
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

# The few commands a person types; scripts/ does the work.
.DEFAULT_GOAL := help
.PHONY: help run test chaos check setup speech-model load sdks sqlx clean-dev

help: ## This list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## Build and run the service with a private PostgreSQL and Redis; prints the page's address
	@exec scripts/run

test: ## Every test, against real processes
	@exec scripts/test

chaos: ## Break everything while people speak, and judge: make chaos ARGS='--only F1,F8'
	@exec scripts/chaos $(ARGS)

check: ## Format, lints, docs, dependencies, scripts and deploy files
	@exec scripts/check

setup: ## Install and fetch everything ahead of the first run, test and check
	@scripts/setup test && scripts/speech-model && tests/clients/setup

speech-model: ## Fetch the embedded speech engine's model into .dev/
	@exec scripts/speech-model

load: ## Load test of a running service: make load URL=http://127.0.0.1:5000 TOKEN=…
	@exec scripts/load --url "$(or $(URL),http://127.0.0.1:5000)" --token "$(TOKEN)" $(ARGS)

sdks: ## Drive Deepgram's official SDKs against the simulator
	@exec tests/clients/deepgram-sdk/run $(ARGS)

sqlx: ## Rewrite .sqlx/ from the queries in the code and the migrations
	@exec scripts/sqlx

clean-dev: ## Stop the private servers and remove .dev/ (their data too)
	@exec scripts/clean-dev

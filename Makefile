# Everything a person does with this repository. `make` alone prints the menu.
.DEFAULT_GOAL := menu
.PHONY: menu run test check format lock docs bench-gateway bench-cli bench-tokens clean

menu:  ## show this menu
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

run:  ## start the server; sets itself up the first time
	@scripts/bootstrap run
	@exec .venv/bin/keystead server run

test:  ## every check and every test, and what they need
	@scripts/need pg_ctlcluster postgresql
	@scripts/need chromium chromium && scripts/need node nodejs && scripts/need npm npm && scripts/need xmlsec1 xmlsec1
	@scripts/need nginx nginx && scripts/need redis-server redis-server && scripts/need curl curl
	@scripts/need dbus-daemon dbus && scripts/need gnome-keyring-daemon gnome-keyring && scripts/need strace strace
	@scripts/bootstrap dev
	@scripts/peers
	@scripts/test

check:  ## style, types, floors: everything but the tests
	@scripts/bootstrap dev
	@scripts/check

format:  ## put the code in its standard form
	@scripts/bootstrap dev
	@.venv/bin/ruff check --quiet --fix . ; .venv/bin/ruff format .

lock:  ## renew requirements/*.lock from pyproject.toml
	@scripts/bootstrap dev
	@scripts/lock

docs:  ## write docs/reference, the manual page and the completions
	@scripts/bootstrap dev
	@.venv/bin/python scripts/reference.py

bench-gateway:  ## nginx, HAProxy, Keystead and LiteLLM side by side
	@scripts/need nginx nginx && scripts/need haproxy haproxy && scripts/need wrk wrk && scripts/need cc gcc
	@scripts/bootstrap run
	@.venv/bin/python -m benchmarks.gateway

bench-cli:  ## what the client costs, with gh auth token beside it
	@scripts/need gh gh
	@scripts/bootstrap run
	@.venv/bin/python -m benchmarks.cli

bench-tokens:  ## the token endpoint beside npm oidc-provider
	@scripts/need node nodejs && scripts/need npm npm && scripts/need cc gcc
	@scripts/bootstrap run
	@scripts/peers
	@.venv/bin/python -m benchmarks.tokens

clean:  ## remove what was generated; never data, never .venv
	@rm -rf build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find src tests benchmarks scripts -name __pycache__ -prune -exec rm -rf {} +

# eBPF Workbook. `make` alone prints the targets.
WORKBOOK := .venv/bin/workbook
PYTEST := .venv/bin/pytest
MAKEFLAGS += --no-print-directory
# "Not done yet" is exit status 1. It is no failed command: make would print an error of its own below the next step.
# Wrong usage, a failed lab and Ctrl-C do fail; so do the references. What needs the status asks `workbook` itself.
UNLESS_NOT_YET = || { code=$$?; [ $$code -eq 1 ] || exit $$code; }

.DEFAULT_GOAL := help
.PHONY: help environment setup all doctor list progress report page watch shell lab lab-clean quick test matrix prove soak bench docs lock clean
.SILENT:

help: ## list the targets
	printf 'Learn eBPF from Python, in a real kernel that comes along.\n\n'
	printf '  %-18s %s\n' \
		'make lesson-01' 'check your code of lesson 01, show its first open step' \
		'make hint-01' 'show a hint for the open step; the next one says more' \
		'make run-01' "run lesson 01's program live in the lab" \
		'make solution-01' 'check the reference of lesson 01' \
		'make diff-01' 'compare your code with the reference, once it is done' \
		'make compare-01' "compare your program's cost with the reference's" \
		'make reset-01' "restore lesson 01's stubs; your files are kept"
	printf '\n'
	sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1 \2/p' $(MAKEFILE_LIST) | while read -r name text; do printf '  %-18s %s\n' "make $$name" "$$text"; done

environment:
	sh harness/setup.sh

setup: lab ## install what is missing: packages (as root), Python, the lab

all: setup doctor list ## set up, check this machine, list the lessons

doctor: environment ## check that this machine can run the lessons
	$(WORKBOOK) doctor

list: environment ## list the lessons
	$(WORKBOOK) list

lesson-%: environment
	$(WORKBOOK) verify $* $(UNLESS_NOT_YET)

solution-%: environment
	$(WORKBOOK) verify --tree solutions $*

run-%: environment
	$(WORKBOOK) run $*

hint-%: environment
	$(WORKBOOK) hint $*

diff-%: environment
	$(WORKBOOK) diff $*

compare-%: environment
	$(WORKBOOK) compare $* $(UNLESS_NOT_YET)

reset-%: environment
	$(WORKBOOK) reset $*

progress: environment ## show how far you are in each lesson
	$(WORKBOOK) progress

report: environment ## write your progress and pictures as one HTML page
	$(WORKBOOK) report

page: environment ## show a lesson and its verdicts in the browser, checked on every save
	$(WORKBOOK) page

page-%: environment
	$(WORKBOOK) page $*

watch: environment ## check on every save; move on when a lesson is done
	$(WORKBOOK) watch

watch-%: environment
	$(WORKBOOK) watch $*

shell: environment ## open a root shell in a fresh guest
	$(WORKBOOK) shell

lab: environment ## build the virtual machine now
	$(WORKBOOK) lab build

quick: environment ## run the project's own tests that need no guest
	.venv/bin/ruff check -q .
	.venv/bin/ruff format -q --check .
	.venv/bin/mypy
	$(PYTEST) -q -m 'not guest and not long and not browser' --timeout=120 -n auto tests
	$(WORKBOOK) author check --files-only

test: quick lab ## run all of the project's own tests
	$(PYTEST) -q -m 'guest and not long and not browser' -n auto --maxprocesses=4 --dist worksteal --timeout=400 --durations=10 tests
	sh harness/setup.sh --browser
	.venv-browser/bin/pytest -q -m browser --timeout=300 tests
	$(WORKBOOK) author prove --changed

matrix: environment ## run the references on each kernel and architecture (hours; a run that was killed goes on)
	$(WORKBOOK) author matrix

prove: quick lab ## prove everything and write the ledger; a run that was killed goes on
	$(WORKBOOK) author prove

soak: environment ## stress the lab: restores, Ctrl-C, repeated runs (long)
	$(WORKBOOK) lab soak --restores 100
	$(WORKBOOK) lab interrupts --times 50
	$(WORKBOOK) author repeat 01 --runs 100
	$(PYTEST) -s -m long tests

bench: environment ## measure how long the lab takes here
	$(WORKBOOK) lab bench --raw bench.json

docs: ## build the pages as a site that needs no network: build/site/index.html
	sh harness/setup.sh --docs
	PYTHONPATH=.:docs .venv-docs/bin/python -m website

lock: ## resolve the dependencies again (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		-q pyproject.toml --group browser -o requirements-browser.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		-q pyproject.toml --group dev -o requirements.lock
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		-q --group docs -o requirements-docs.lock

lab-clean: environment ## remove the virtual machine; make lab rebuilds it
	$(WORKBOOK) lab clean

clean: ## remove the virtual machine and the environment
	if [ -x $(WORKBOOK) ]; then $(WORKBOOK) lab clean; fi
	rm -rf .venv .venv-docs .venv-browser build/site

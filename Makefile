# eBPF Workbook. `make` alone prints the targets.
WORKBOOK := .venv/bin/workbook
PYTEST := .venv/bin/pytest
MAKEFLAGS += --no-print-directory

.DEFAULT_GOAL := help
.PHONY: help environment setup all check list progress report watch shell lab lab-clean quick test soak bench lock clean
.SILENT:

help: ## this list
	printf 'Learn eBPF from Python, in a real kernel that comes along.\n\n'
	printf '  %-18s %s\n' \
		'make lesson-01' 'check your code of lesson 01, show the next step' \
		'make hint-01' 'a hint for the open step; the next one says more' \
		'make run-01' "run lesson 01's program live in the lab" \
		'make solution-01' 'check the reference of lesson 01' \
		'make diff-01' 'your code against the reference, once the lesson is done' \
		'make compare-01' "your program's cost beside the reference's" \
		'make reset-01' 'start lesson 01 over; your files are kept'
	printf '\n'
	sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1 \2/p' $(MAKEFILE_LIST) | while read -r name text; do printf '  %-18s %s\n' "make $$name" "$$text"; done

environment:
	sh harness/setup.sh

setup: lab ## what is missing: packages (as root), the Python environment, the virtual machine

all: setup check list ## set-up, doctor, list of lessons

check: environment ## does everything that a lesson needs work here?
	$(WORKBOOK) check

list: environment ## the lessons
	$(WORKBOOK) list

lesson-%: environment
	$(WORKBOOK) verify $*

solution-%: environment
	$(WORKBOOK) verify --tree solutions $*

run-%: environment
	$(WORKBOOK) run $*

hint-%: environment
	$(WORKBOOK) hint $*

diff-%: environment
	$(WORKBOOK) diff $*

compare-%: environment
	$(WORKBOOK) compare $*

reset-%: environment
	$(WORKBOOK) reset $*

progress: environment ## how far you are in each lesson
	$(WORKBOOK) progress

report: environment ## your progress as one HTML page, with the pictures you made
	$(WORKBOOK) report

watch: environment ## check again at each save
	$(WORKBOOK) watch

watch-%: environment
	$(WORKBOOK) watch $*

shell: environment ## a root shell in a fresh guest
	$(WORKBOOK) shell

lab: environment ## build the virtual machine now
	$(WORKBOOK) lab build

quick: environment ## the project's own tests that need no guest
	.venv/bin/ruff check -q .
	.venv/bin/ruff format -q --check .
	.venv/bin/mypy
	$(PYTEST) -q -m 'not guest' --timeout=120 tests
	$(WORKBOOK) author check --files-only

test: quick lab ## all of the project's own tests
	$(PYTEST) -q -m 'guest and not long' -n auto --maxprocesses=4 --timeout=400 --durations=10 tests
	$(WORKBOOK) author check

soak: environment ## the lab under stress: 100 restores, 50 Ctrl-C, 100 runs of lesson 01's reference, all faulty programs (long)
	$(WORKBOOK) lab soak --restores 100
	$(WORKBOOK) lab interrupts --times 50
	$(WORKBOOK) author repeat 01 --runs 100
	$(PYTEST) -s -m long tests

bench: environment ## how long the lab takes here
	$(WORKBOOK) lab bench --raw bench.json

lock: ## resolve the dependencies anew (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-annotate --no-header \
		-q pyproject.toml --group dev -o requirements.lock

lab-clean: environment ## remove the virtual machine, to build it anew
	$(WORKBOOK) lab clean

clean: ## remove the virtual machine and the environment
	if [ -x $(WORKBOOK) ]; then $(WORKBOOK) lab clean; fi
	rm -rf .venv

# Two commands for a newcomer: `make up` and `make test`. All of them may be run again at any time.

.PHONY: help up down test test-long bench

help:
	@echo 'make up         set up this host, serve, and boot a first machine (ENGINE=emulator: without hardware)'
	@echo 'make down       stop what make up started; disks and the database stay'
	@echo 'make test       install what the tests need, and run them all'
	@echo 'make test-long  the same with more rounds, for hours when nobody waits'
	@echo 'make bench      print measured ratios'

up:
	@bash scripts/up.sh

down:
	@bash scripts/down.sh

test:
	@bash scripts/test.sh

test-long:
	@DECKLE_KILL_ROUNDS=100 DECKLE_SWEEP_ALL=1 PROPTEST_CASES=10000 BUDGET_FACTOR=10 bash scripts/test.sh

bench:
	@bash scripts/bench.sh

# make demo: a whole backup day in the local EC2.  make test: every test.  Both set up all that they need.
BIN := .venv/bin
# What works on whole worlds; these unit tests take about as long as all others, and run beside them.
WORLDS := tests/unit/execute tests/unit/runs
# What carries streams waits more than it works, and so runs beside the other contracts.
STREAMS := $(addprefix tests/contract/test_,pipelines.py several_streams.py stream_faults.py stream_verb.py transports.py)

# Tests in the lab that tell long stories; they take about as long as all others, and run beside them.
STORIES := $(addprefix tests/lab/test_,demo.py backup.py upkeep.py transport.py staged_day.py)

# Tests start the program hundreds of times; it is not to be compiled each time.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test check types unit-test world-test part-test contract-test stream-test seam-test lab-test lab-stories \
    lab-parts lab-image bench bench-transport lock ready-check ready-lab

demo: ready-lab
	$(BIN)/ec2zfs demo

# In it sweeps ("killed at any call") try every call; else some (tests/conftest.py). The image is built in what
# the checks leave of the processor.
test: export EVERY := --every
test: ready-lab
	$(MAKE) --no-print-directory --jobs 2 --output-sync=target check lab-image
	$(MAKE) --no-print-directory lab-test

check: ready-check
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(MAKE) --no-print-directory --jobs 5 --output-sync=target contract-test types unit-test

types:
	$(BIN)/mypy

unit-test: world-test part-test

world-test:
	$(BIN)/pytest $(EVERY) $(WORLDS)

part-test:
	$(BIN)/pytest $(EVERY) tests/unit $(WORLDS:%=--ignore=%)

contract-test: stream-test seam-test

stream-test:
	$(BIN)/pytest $(EVERY) $(STREAMS)

seam-test:
	$(BIN)/pytest $(EVERY) tests/contract $(STREAMS:%=--ignore=%)

lab-test: ready-lab lab-image
	$(MAKE) --no-print-directory --jobs 2 --output-sync=line lab-stories lab-parts

lab-stories:
	$(BIN)/pytest -v --durations 12 $(STORIES)

lab-parts:
	$(BIN)/pytest -v --durations 12 tests/lab $(STORIES:%=--ignore=%)

lab-image: ready-lab
	nice -n 19 $(BIN)/ec2zfs lab build

bench: ready-lab
	$(BIN)/python -m bench

# As root: it makes network namespaces. Installs iperf3 and mbuffer, which it measures, when they are missing.
bench-transport: ready-check
	$(BIN)/python -m bench.loopback; loopback=$$?; $(BIN)/python -m bench.line_speed && exit $$loopback

lock: ready-check
	$(BIN)/pip-compile --quiet --strip-extras --extra lab --extra dev --generate-hashes --allow-unsafe \
	    --no-emit-index-url --no-emit-find-links --no-emit-trusted-host -o requirements.lock pyproject.toml

ready-check:
	@scripts/setup check

ready-lab:
	@scripts/setup lab

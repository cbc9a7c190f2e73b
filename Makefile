# make demo: two minutes of everything; make test: the tests; make lint: the style. Each makes .venv when it is missing.
PYTHON ?= python3
TORCH ?= torch==2.14.1 torchvision==0.29.1
BIN := .venv/bin
TYPED := checkpoint.py config.py errors.py experiment.py files.py listing.py printing.py targets.py toml.py
ifndef RESTORATION_DATA
ifneq ($(wildcard ../shared/data/MANIFEST.csv),)
export RESTORATION_DATA := $(abspath ../shared/data)
endif
endif

.PHONY: demo test lint clean

demo: .venv/ready
	$(BIN)/restoration demo --out demo

test: .venv/ready
	$(BIN)/python -m pytest -q -n 2 --dist worksteal tests

lint: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --follow-imports=silent $(addprefix restoration/,$(TYPED))

.venv/ready:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(TORCH)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable ".[dev,tensorboard,classical,features,fidelity,matlab,video,stream]"
	touch $@

clean:
	rm -rf .venv build dist *.egg-info demo runs

# Everything a reader or a contributor types; `make` alone lists it.
#
# All that must be there is Python 3.11 or newer, make and git. The rest, Node among
# it, comes from requirements.lock into .venv, which every command below makes when
# it is missing or older than the lock.

SUITABLE := -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))'
NAMES := python3.11 python3 python3.12 python3.13 python
PYTHON ?= $(firstword $(foreach name,$(NAMES),\
	$(shell $(name) $(SUITABLE) 2>/dev/null && echo $(name))))

# The stamp of a finished installation is named after what was installed and where, so
# neither file times nor a folder that has moved can pass off another environment.
READY := .venv/ready-$(shell (cat requirements.lock; pwd) | cksum | cut -d ' ' -f 1)
RUN := .venv/bin/python -m
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: help book test lab run sync execute lock clean
.DEFAULT_GOAL := help

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile
	@echo
	@echo '  CHAPTER=prototypical    for run, execute, sync: one chapter, or several'
	@echo '  PROFILE=smoke           for run: smoke (seconds), book or paper (a GPU)'
	@echo '  SEED=1 DEVICE=cpu       for run: the other two parameters of every chapter'
	@echo '  LABFLAGS=--allow-root   for lab: what JupyterLab is given, as in a container'

$(READY):
	@"$(PYTHON)" $(SUITABLE) 2>/dev/null || { \
		echo 'Python 3.11 or newer with venv is needed. Install it (on Debian and Ubuntu:'; \
		echo 'apt install python3 python3-venv) or name it: make PYTHON=/path/to/python'; \
		exit 1; }
	@if [ -L .venv ] || { [ ! -e .venv/pyvenv.cfg ] && [ -n "$$(ls -A .venv 2>&-)" ]; }; \
		then echo '.venv is a link, or holds something other than an environment of Python.'; \
		echo 'Building the environment of the book there would empty it, or what it links'; \
		echo 'to. Move it away (mv .venv elsewhere) and call make again.'; exit 1; fi
	"$(PYTHON)" -m venv --clear .venv
	$(RUN) pip install --disable-pip-version-check -r requirements.lock
	$(RUN) pip install --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

book: $(READY)  ## build the book from the executed notebooks and say where it is
	@$(RUN) book.chapters check
	@$(RUN) theme build

lab: $(READY)  ## open the chapters in JupyterLab; .py and .ipynb stay one document
	@$(RUN) nbformat.sign chapters/*.ipynb > /dev/null  # or Lab shows PNG for SVG
	$(RUN) jupyterlab $(LABFLAGS) --LabApp.default_url=/lab/tree/chapters/00_preface.ipynb

run: $(READY)  ## run every chapter from top to bottom; results go to _build/runs
	@$(RUN) book.chapters run $(CHAPTER) $(if $(PROFILE),--profile $(PROFILE)) \
		$(if $(SEED),--seed $(SEED)) $(if $(DEVICE),--device $(DEVICE))

sync: $(READY)  ## bring each .py and .ipynb to the same text; FROM=ipynb for the other way
	@$(RUN) book.chapters sync $(CHAPTER) $(if $(FROM),--from $(FROM))

execute: $(READY)  ## sync, then compute the committed outputs afresh
	@$(RUN) book.chapters execute $(CHAPTER)

# $(call check,what,command,what to do when it fails)
define check
	@printf '\n== %s\n' '$(1)'
	@$(2) || { printf '\n== FAILED: %s\n%s\n' '$(1)' '$(3)'; exit 1; }
endef

# 10 minutes for a cell: none takes two, and nbval would wait for half an hour.
# Two processes of one thread each keep two cores busy without fighting over them.
PYTEST := OMP_NUM_THREADS=1 $(RUN) pytest -n 2

test: $(READY)  ## check everything: style, types, code, notebooks, book, pages
	$(call check,style,$(RUN) ruff check . && $(RUN) ruff format --check .,\
		Try: .venv/bin/ruff check --fix . && .venv/bin/ruff format .)
	$(call check,types,$(RUN) mypy,Each line above names a file and a line to mend.)
	$(call check,tests of the code,$(PYTEST) --dist loadscope -m "not browser",\
		One test alone: .venv/bin/python -m pytest FILE::TEST)
	$(call check,every notebook as committed,$(PYTEST) -p book.kernels --dist loadfile \
		--nbval-lax --nbval-current-env --nbval-cell-timeout 600 chapters,\
		See it in JupyterLab: make lab. Compute its outputs afresh: make execute CHAPTER=...)
	$(call check,the book,$(RUN) theme build,\
		The message above names the chapter and what is wrong in it.)
	$(call check,its pages in a browser,$(RUN) pytest -m browser,\
		One test alone: .venv/bin/python -m pytest -m browser -k NAME)

lock: $(READY)  ## write requirements.lock from what is installed in .venv
	$(RUN) pip freeze --all --exclude pip --exclude-editable | sed 's/+cpu$$//' > requirements.lock

clean:  ## remove everything that make made
	rm -rf .venv _build

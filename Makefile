# make demo                  the whole front-end on a synthetic flight, in a virtual environment of its own
# make demo SEQUENCE=DIR     the same on a folder of images, a video, or a rosbag2 or .mcap recording
# make demo OPTIONS=...      its options, such as OPTIONS="--camera 525,525,320,240"; make demo OPTIONS=--help lists them
# make demo MODEL=FILE       the same with a network of your own
# make demo VIEW=1           the same, seen live in a window or, without a display, in a browser; VIEW=file records it
# make test                  linters, type checks and tests
# make test-avx2             the tests once more, as on a processor with AVX2 and nothing newer
# make environment           only what test and training need
# make benchmark             ratios within one run: extraction, matching, the whole node, the training step
PYTHON ?= python3
SEQUENCE ?= flight
MODEL ?=
OPTIONS ?=
VIEW ?=
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# Types of TensorRT for mypy, which its wheels lack. stubgen writes one method that is no Python.
define STUBS
	$(BIN)/stubgen --quiet --package tensorrt_rtx_bindings --output $(VENV)/stubs
	sed -i '/def add_scale_nd/d' $(VENV)/stubs/tensorrt_rtx_bindings/tensorrt_rtx.pyi
	mkdir -p $(VENV)/stubs/tensorrt
	echo 'from tensorrt_rtx_bindings import *\nfrom tensorrt_rtx_bindings import __version__ as __version__' \
		> $(VENV)/stubs/tensorrt/__init__.pyi
endef
# Tests run in parallel, one thread each.
THREADS := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1

# What limits OpenVINO and torch, torch's own kernels, numpy's BLAS, and numpy to AVX2.
AVX2 := ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 OPENBLAS_CORETYPE=Haswell \
	NPY_DISABLE_CPU_FEATURES="X86_V4 AVX512_ICL AVX512_SPR"

.PHONY: demo test test-avx2 environment benchmark clean

demo: $(VENV)/.ros $(if $(VIEW),$(VENV)/.view)
	$(BIN)/python -m silk_ros.ros.demo --sequence "$(SEQUENCE)" --model "$(MODEL)" $(if $(VIEW),--view $(VIEW:1=auto)) $(OPTIONS)

test: $(VENV)/.dev
	@$(BIN)/python -m silk_ros.evaluation.run_info
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(THREADS) $(BIN)/python -m pytest -n auto

test-avx2: $(VENV)/.dev
	@$(AVX2) $(BIN)/python -m silk_ros.evaluation.run_info
	$(AVX2) $(THREADS) $(BIN)/python -m pytest -n auto --ignore=test/test_colcon.py

environment: $(VENV)/.dev

benchmark: $(VENV)/.dev
	$(BIN)/python -m benchmarks.pipeline
	$(BIN)/python -m benchmarks.matching
	$(BIN)/python -m benchmarks.node
	$(BIN)/python -m benchmarks.soak
	$(BIN)/python -m benchmarks.training
	$(BIN)/python -m benchmarks.readme_table

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "silk_ros needs Python 3.10 or newer: make PYTHON=/path/to/python3"; exit 1; }
	$(PYTHON) -m venv $(VENV) || { echo "no venv module: apt install python3-venv"; rm -rf $(VENV); exit 1; }

$(VENV)/.ros: setup.py | $(BIN)/python
	@echo "installing ROS 2 and the runtime into $(VENV) (once) ..."
	$(PIP) --editable '.[ros,openvino]'
	@touch $@

$(VENV)/.view: setup.py | $(VENV)/.ros
	@echo "installing the viewer Rerun into $(VENV) (once) ..."
	$(PIP) --editable '.[ros,openvino,view]'
	@touch $@

$(VENV)/.dev: setup.py constraints.txt | $(BIN)/python
	@echo "installing ROS 2, PyTorch and the test tools into $(VENV) (once) ..."
	$(PIP) --constraint constraints.txt --editable '.[ros,openvino,tensorrt,train,evaluate,colmap,dev]'
	$(STUBS)
	@touch $@ $(VENV)/.ros

clean:
	rm -rf $(VENV) build install log demo_output *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

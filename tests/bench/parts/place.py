"""Where sources, programs and scripts are; makes tests/support importable."""
import os
import sys

SOURCE = os.environ.get("VNVME_SOURCE") or os.path.abspath(os.path.join(os.path.dirname(__file__), "../../.."))
BUILD = os.environ.setdefault("VNVME_BUILD", os.path.join(SOURCE, "build/bench"))
BIN = os.environ.setdefault("VNVME_BIN", os.path.join(BUILD, "bin"))
sys.path.insert(0, os.path.join(SOURCE, "tests/support"))

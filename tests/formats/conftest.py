"""Makes the labels of `training` known to the tests beside it: tests are files, not a package."""

import importlib.util
import sys
from pathlib import Path

spec = importlib.util.spec_from_file_location("training", Path(__file__).with_name("training.py"))
sys.modules["training"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["training"])

"""The ultra-fast tier on rented GPUs: `saafe launch ultra-fast --on sagemaker`.

What it would take, without an account: `saafe prices`.
"""

import importlib
import os
import sys
from pathlib import Path

venv = Path(__file__).resolve().parent / ".venv"
if (venv / "bin" / "python").exists() and Path(sys.prefix) != venv:
    os.execv(venv / "bin" / "python", ["python", __file__, *sys.argv[1:]])
try:
    importlib.import_module("saafe.cli.cloud")
except ModuleNotFoundError as error:
    sys.exit(f"{error.name} is not installed: run make install")
sys.argv[1:] = ["launch", "ultra-fast", "--on", "sagemaker", *sys.argv[1:]]
importlib.import_module("saafe.cli").main()

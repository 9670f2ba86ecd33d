"""The ultra-fast tier on rented GPUs: `saafe launch ultra-fast --on sagemaker`."""

import os
import sys
from pathlib import Path

python = Path(__file__).parent / ".venv" / "bin" / "python"
try:
    from saafe.cli import main
except ModuleNotFoundError:
    if not python.exists() or Path(sys.prefix) == python.parent.parent:
        sys.exit("saafe is not installed: run make install")
    os.execv(python, [str(python), __file__, *sys.argv[1:]])

sys.argv[1:] = ["launch", "ultra-fast", "--on", "sagemaker", *sys.argv[1:]]
main()

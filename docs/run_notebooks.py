"""Run the notebooks of docs/notebooks and keep what they print and draw: `make notebooks`.

With --check nothing is kept: exit 1 where a cell fails. Each runs in a folder of its own.
"""

import os
import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent / "notebooks"
LIMIT_S = 600


def run_notebook(path: Path) -> nbformat.NotebookNode:
    """Run every cell of a notebook, in an empty folder; a cell that fails raises."""
    book = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(
            book, timeout=LIMIT_S, kernel_name="python3",
            resources={"metadata": {"path": folder}},
        ).execute()  # fmt: skip
    for cell in book.cells:
        cell.metadata.pop("execution", None)  # when it ran: a difference every time
        if "outputs" in cell:  # progress is no result
            cell.outputs = [one for one in cell.outputs if one.get("name") != "stderr"]
    return book


if __name__ == "__main__":
    here = str(Path(__file__).parents[1])
    os.environ["PYTHONPATH"] = os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])
    for notebook in sorted(FOLDER.glob("*.ipynb")):
        done = run_notebook(notebook)
        if "--check" not in sys.argv:
            nbformat.write(done, notebook)
        print(notebook.name)

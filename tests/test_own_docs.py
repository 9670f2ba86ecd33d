"""docs/own-recordings.md and docs/plot.md: their commands and their Python run as they stand."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from saafe.cli import saafe
from saafe.exam.amounts import Amounts
from saafe.training import thresholds

DOCS = Path(__file__).parents[1] / "docs"
SMALL = ("width=16", "layers=1", "heads=2", "epochs=1", "windows=256", "batch=64", "streams=32",
         "held_out=64", "device=cpu")  # fmt: skip
FEW = Amounts(1, 2, 0, 0, 1, 6, 8)


def block_after(page: str, heading: str) -> list[list[str]]:
    """The commands of the first block of code after a heading, as words without their comments."""
    text = (DOCS / page).read_text().partition(heading)[2]
    block = re.search(r"\n\n((?:    .*\n)+)", text)
    assert block is not None, f"{page} has no block of commands after {heading!r}"
    return [shlex.split(line, comments=True) for line in block[1].splitlines()]


def run(words: list[str]) -> None:
    assert words[0] == "saafe"
    done = CliRunner().invoke(saafe, words[1:])
    assert done.exit_code == 0, (words, done.output, done.exception)


@pytest.mark.slow
def test_the_tutorial_on_own_recordings_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(thresholds, "REFERENCE_STREAMS", 8)
    monkeypatch.setattr(thresholds, "DENSE_PARTS", 1)
    monkeypatch.setattr("saafe.exam.quick.QUICK", FEW)
    commands = block_after("own-recordings.md", "## Try it")
    assert [words[1] for words in commands] == ["simulate", "train", "detect"]
    for words in commands:
        small = [part for change in SMALL for part in ("--set", change)]
        run([*words, *(small if words[1] == "train" else [])])
    assert (tmp_path / "runs" / "mine" / "own_rooms.json").is_file()
    # the page's Python: another tuning of a run that is there
    shutil.copytree(tmp_path / "runs" / "mine" / "general", tmp_path / "runs" / "RUN")
    shutil.rmtree(tmp_path / "runs" / "mine")
    text = (DOCS / "own-recordings.md").read_text().partition("## In Python")[2]
    (code,) = re.findall(r"```python\n(.*?)```", text, re.S)
    made: dict[str, object] = {}
    exec(compile(code, "docs/own-recordings.md", "exec"), made)
    assert "own_rooms" in made["result"]  # type: ignore[operator]


def test_the_first_commands_of_plot_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run(shlex.split("saafe simulate --scenarios 1 --out simulated --source curtain"))
    shutil.copy("simulated/simulated-00000.csv.gz", "kitchen.csv.gz")
    shutil.copy("simulated/simulated-00000.csv.gz", "kitchen.csv")  # its content says what it is
    (tmp_path / "runs" / "RUN").mkdir(parents=True)
    (tmp_path / "runs" / "RUN" / "metrics.jsonl").write_text(
        '{"epoch": 1, "loss": 1.0, "held_out_loss": 1.0, "accuracy": 0.5}\n'
    )
    commands = block_after("plot.md", "# Pictures")
    assert len(commands) == 6
    for words in commands:
        if "--model" not in words:  # needs a trained run
            run(words)
    assert {path.name for path in tmp_path.iterdir() if path.suffix in (".png", ".svg")} == {
        "kitchen.png", "run.svg", "device.png",
    }  # fmt: skip

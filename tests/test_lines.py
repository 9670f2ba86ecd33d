"""Lines of standard input: encodings, line ends, and pieces of any length."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import saafe
from saafe.cli.lines import LONGEST_LINE, Lines, split_lines

LINES = ["time_s,sensor,temperature_c", "0,Küche,20.5", "", "10,厨房,20.6", "20,🔥,20.7"]
ENCODINGS = {
    "utf-8": "utf-8", "utf-8-sig": "utf-8-sig", "utf-16 with a mark": "utf-16",
    "utf-16-le without": "utf-16-le", "utf-16-be without": "utf-16-be",
}  # fmt: skip


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("longest", [1, 2, 3, 7, 1000])
def test_lines_are_the_same_in_every_encoding_and_pieces(encoding: str, end: str, longest: int):
    data = "".join(line + end for line in LINES).encode(ENCODINGS[encoding])
    noise, pieces = random.Random(longest), []
    while data:
        length = noise.randint(1, longest)
        pieces.append(data[:length])
        data = data[length:]
    assert list(split_lines(pieces)) == LINES


def test_a_line_is_given_as_soon_as_it_ends():
    pieces = iter([b"time_s\r", b"\n1\r", b"2\n", b"3"])
    lines = split_lines(pieces)
    assert next(lines) == "time_s"
    assert next(pieces) == b"\n1\r"  # which nobody had asked for yet
    assert list(lines) == ["2", "3"]


def test_a_line_without_an_end_is_cut():
    assert [len(line) for line in split_lines([b"x" * LONGEST_LINE, b"xy", b"z"])] == [
        LONGEST_LINE + 2, 1,
    ]  # fmt: skip


PROGRAM = """
import sys
from saafe.cli.lines import Lines
lines = Lines()
print(lines.next(20.0)[0], flush=True)
if sys.argv[1] == "wait":
    try:
        lines.next(20.0)
    except KeyboardInterrupt:
        sys.exit(130)
sys.exit(1)
"""


@pytest.mark.parametrize(("what", "code"), [("wait", 130), ("leave", 1)])
def test_a_process_ends_while_its_input_stays_open(what: str, code: int):
    """The thread that reads it must not hold what the interpreter needs as it ends."""
    environment = {**os.environ, "PYTHONPATH": str(Path(saafe.__file__).parent.parent)}
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, what], env=environment,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(b"hello\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"hello\n"
        if what == "wait":
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
        assert process.wait(20) == code
        assert process.stderr.read() == b""


def test_lines_of_one_piece_came_together_however_slowly_they_are_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = tmp_path / "rows.csv"
    file.write_text("".join(f"{k},A,20\n" for k in range(8)))
    monkeypatch.setattr("saafe.cli.lines.WAITING", 2)
    with file.open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        lines, came = Lines(), []
        while (one := lines.next(10.0)) is not None:
            came.append(one[1])
            time.sleep(0.02)
    assert len(came) == 8
    assert len(set(came)) == 1

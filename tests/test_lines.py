"""Lines of standard input: encodings, line ends, and pieces of any length."""

import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

import saafe
from saafe.cli.stdin_lines import LONGEST_LINE, Lines, split_lines
from saafe.errors import InputError

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
from saafe.cli.stdin_lines import Lines
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
    monkeypatch.setattr("saafe.cli.stdin_lines.WAITING", 2)
    with file.open() as stdin:
        monkeypatch.setattr(sys, "stdin", stdin)
        lines, came = Lines(), []
        while (one := lines.next(10.0)) is not None:
            came.append(one[1])
            time.sleep(0.02)
    assert len(came) == 8
    assert len(set(came)) == 1


HOT = "time_s,temperature_c\n" + "".join(f"{10 * k},{20 + 3 * k}\n" for k in range(40))


def detect_from(stdin: int) -> subprocess.Popen[str]:
    """`saafe detect -` in a process of its own, whose standard input is an open file."""
    return subprocess.Popen(
        [sys.executable, "-m", "saafe", "detect", "-"], stdin=stdin, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(saafe.__file__).parent.parent)},
    )  # fmt: skip


@pytest.mark.parametrize("what", ["write-only", "memory"])
def test_an_input_that_cannot_be_read_is_one_line(what: str, tmp_path: Path) -> None:
    """Once a traceback of the reading thread, and then that no line had come."""
    if what == "write-only":
        number = os.open(tmp_path / "rows.csv", os.O_WRONLY | os.O_CREAT)
    else:
        number = os.open("/proc/self/mem", os.O_RDONLY)  # nothing is mapped at its first byte
    with detect_from(number) as process:
        os.close(number)
        out, said = process.communicate(timeout=60)
    assert (process.returncode, out) == (1, "")
    assert re.fullmatch(r"saafe: stdin: [^\n]+\n", said), said


def test_a_folder_as_input_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given `< FOLDER` Python ends before saafe begins, in words of its own."""

    class Folder:
        def fileno(self) -> int:
            return number

    number = os.open(tmp_path, os.O_RDONLY)
    monkeypatch.setattr(sys, "stdin", Folder())
    try:
        with pytest.raises(InputError, match=r"^stdin: Is a directory$"):
            Lines().next(10.0)
    finally:
        os.close(number)


def test_an_input_that_does_not_wait_is_waited_for() -> None:
    """Once a traceback: who opened a pipe may have set it so."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    with detect_from(reader) as process:
        os.close(reader)
        time.sleep(1.5)  # it reads by now, and nothing has come
        os.write(writer, HOT.encode())
        os.close(writer)
        out, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert '"event": "alarm"' in out
    assert "Traceback" not in said


def test_an_input_that_breaks_off_is_an_error_after_its_events() -> None:
    """Once a traceback and exit code 0, as if the stream had ended."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
    with far, near, detect_from(near.fileno()) as process:
        far.sendall(HOT.encode())
        assert process.stdout is not None
        assert '"event": "alarm"' in process.stdout.readline()
        far.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        far.close()  # a reset, no end
        out, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert out == ""
    assert said.endswith("saafe: stdin: Connection reset by peer\n"), said
    assert "Traceback" not in said

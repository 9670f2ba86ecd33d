"""A file is written whole or the old one stands, and the user reads one line."""

import errno
import json
import os
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from saafe import training_run
from saafe.detector.state import read_state
from saafe.errors import InputError
from saafe.files import scratch_folder, writable_folder, write_atomically, write_json
from saafe.own_rooms.rooms import OwnRooms
from saafe.own_rooms.tuned_run import note_asked
from saafe.pictures import picture_of_run
from saafe.recordings.annotated import read_set
from saafe.serving import day_files
from saafe.training import runs


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    write_json(path, {"a": 2}, is_durable=True)
    assert json.loads(path.read_text()) == {"a": 2}
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_durable_has_its_name_on_the_disk_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The content was synced and the name was not: a power cut brought the old file back."""
    done: list[str] = []
    sync, replace = os.fsync, os.replace

    def fsync(number: int) -> None:
        done.append("folder" if stat.S_ISDIR(os.fstat(number).st_mode) else "file")
        sync(number)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", lambda *paths: (done.append("name"), replace(*paths)))
    write_json(tmp_path / "receipt.json", {"a": 1}, is_durable=True)
    assert done == ["file", "name", "folder"]
    rows = day_files.make_rows([0], ["A"], [[20.0] * 6])
    day_files.write_day(rows, tmp_path / "1970-01-01.csv.gz")
    assert done[-3:] == ["file", "name", "folder"]
    write_json(tmp_path / "cache.json", {"a": 1})
    assert done.count("folder") == 2, "nothing else waits for the disk"


@pytest.mark.parametrize(
    ("name", "text", "read"),
    [
        ("kitchen.state", "{}", read_state),
        ("set.json", "{}", read_set),
        ("metrics.jsonl", "{}", lambda path: picture_of_run(path.parent)),
        ("exam.json", "{}", lambda path: picture_of_run(path.parent)),
        (
            runs.ASKED_FILE, "{}",
            lambda path: note_asked(
                path.parent, OwnRooms((), ()), None, resume=True, model=None
            ),
        ),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_read_is_not_called_damaged(
    name: str, text: str, read: Callable[[Path], object], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """A state without its rights "is damaged: start without it", which throws it away."""
    path = tmp_path / name
    path.write_text(text)

    def closed(_path: Path) -> bytes:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "read_bytes", closed)
    with pytest.raises(InputError) as error:
        read(path)
    assert str(error.value) == (
        f"{path}: is unreadable (Permission denied); mend its rights, or copy it again"
    )
    assert path.read_text() == text


@pytest.mark.parametrize("partial", [None, "fixed"])
def test_what_cannot_be_written_leaves_the_old_file(tmp_path: Path, partial: str | None) -> None:
    path = tmp_path / "x"
    path.mkdir()  # a folder cannot be replaced by a file
    (path / "kept").touch()
    with pytest.raises(InputError, match=r"x: cannot be written \(.*\); do this") as error:
        write_atomically(
            path, b"new", partial=tmp_path / partial if partial else None, mend="do this"
        )
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(InputError, match="No such file"):
        write_atomically(tmp_path / "nowhere" / "x", b"new")


KILLED = """
import os, signal, sys
from pathlib import Path
from saafe.files import write_atomically
os.replace = lambda *paths: os.kill(os.getpid(), signal.SIGKILL)
write_atomically(Path(sys.argv[1]), b"new")
"""


def test_a_kill_leaves_the_old_file_and_what_sweep_removes(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"old")
    subprocess.run([sys.executable, "-c", KILLED, str(path)], check=False)
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 2
    training_run.sweep(tmp_path)
    assert list(tmp_path.iterdir()) == [path]


def test_threads_do_not_meet_in_one_partial_file(tmp_path: Path) -> None:
    path, errors = tmp_path / "x", []

    def write(content: bytes) -> None:
        try:
            for _ in range(50):
                write_atomically(path, content)
        except InputError as error:
            errors.append(error)

    contents = [bytes([65 + k]) * 5000 for k in range(4)]
    threads = [threading.Thread(target=write, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert path.read_bytes() in contents


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    folders = [tmp_path / "file" / "runs"]
    folders += [closed, closed / "runs"] if not os.access(closed, os.W_OK) else []  # root may
    for folder in folders:
        with pytest.raises(InputError, match=r"cannot be made \(.+\); name another$"):
            writable_folder(folder, "name another")


@pytest.mark.parametrize("name", ["a" * 255, "a" * 240 + ".csv", "\U0001f525" * 63])
def test_a_name_may_be_as_long_as_the_disk_takes_it(name: str, tmp_path: Path) -> None:
    write_atomically(tmp_path / name, b"new")
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_link_stays_and_what_it_leads_to_is_written(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    real, link, chained = tmp_path / "far" / "real", tmp_path / "link", tmp_path / "chained"
    link.symlink_to(Path("far", "real"))
    chained.symlink_to(link)
    for content in (b"first", b"second"):  # it leads nowhere yet, then to a file
        write_atomically(chained, content)
        assert real.read_bytes() == content
    assert link.is_symlink()
    assert chained.is_symlink()
    assert list((tmp_path / "far").iterdir()) == [real]


def test_what_is_no_regular_file_is_written_in_place(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(os.devnull)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert Path(os.devnull).is_char_device()


def test_temporary_files_that_have_no_room_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a full disk the converter had said that its file is corrupt, the compiler a page."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with scratch_folder(1) as folder:
        (folder / "x").write_bytes(b"x")
        assert folder.parent == tmp_path
    said = f"{tmp_path}: no room for temporary files .*TMPDIR$"
    with pytest.raises(InputError, match=said), scratch_folder(1 << 60):
        raise AssertionError("not begun")
    with pytest.raises(InputError, match=said), scratch_folder(1) as folder:
        raise OSError(errno.ENOSPC, "No space left on device", str(folder / "x"))
    with pytest.raises(FileNotFoundError), scratch_folder(1) as folder:
        (folder / "absent").read_bytes()
    assert list(tmp_path.iterdir()) == []

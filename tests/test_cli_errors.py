"""What a user can cause is one line and an exit code, and with --json one JSON document."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import save

import saafe
import saafe.cli
from saafe.cli.output import run
from saafe.cli.progress import counting
from saafe.detector.alarms import AlarmSettings
from saafe.errors import InputError
from saafe.files import json_text, plain_name, write_atomically
from saafe.recipes import changed, find_tier, to_dict
from saafe.simulator.scenarios import mix_of
from saafe.training import runs
from saafe.training.model import FireTransformer

ROOT = Path(saafe.__file__).parent.parent
TINY = changed(find_tier("tiny"), ("width=16", "layers=1", "heads=2", "device=cpu"))
SIMULATE = "simulate --scenarios 1 --set hours=0.2 --set format=csv"
# what root may read and write although nobody may
RIGHTS = "-dac_override,-dac_read_search"
needs_full = pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")


def saved(folder: Path) -> Path:
    """A run whose weights nobody trained: enough to load and to score."""
    folder.mkdir()
    torch.manual_seed(0)
    runs.save_model(folder, TINY, FireTransformer(TINY), AlarmSettings())
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run, a recording, a file, and things that nobody may read or write."""
    here = tmp_path_factory.mktemp("place")
    saved(here / "RUN")
    rows = [f"{10 * k},A,{20 if k < 30 else 80},5" for k in range(60)]
    header = "time_s,sensor,temperature_c,pm25_ug_m3"
    (here / "fire.csv").write_text("\n".join([header, *rows]) + "\n")
    (here / "file").touch()
    (here / "table.tsv").write_text("time_s\ttemperature_c\n0\t20\n10\t21\n")
    (here / "sheet.xlsx").write_bytes(b"PK\x03\x04\x14\0\0\0")
    (here / "readonly").mkdir()
    saved(here / "closed")
    saved(here / "secret")
    (here / "secret.csv").write_text("time_s\n")
    (here / "readonly").chmod(0o555)
    (here / "closed").chmod(0)
    (here / "secret" / runs.MODEL).chmod(0)
    (here / "secret.csv").chmod(0)
    return here


def shell(place: Path, line: str, **more) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a shell line in which SAAFE is the command line."""
    command = f"{sys.executable} -W error -m saafe"
    if os.geteuid() == 0:  # root may do anything: without those rights
        command = f"setpriv --bounding-set={RIGHTS} --inh-caps={RIGHTS} {command}"
    done = subprocess.run(
        ["bash", "-c", f"umask 022; {line.replace('SAAFE', command)}"],
        cwd=place, capture_output=True, text=True, timeout=120,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}, **more,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (f"SAAFE {SIMULATE} --out readonly/sim", "readonly/sim: Permission denied"),
        ("SAAFE train --out readonly/runs", "Permission denied"),
        ("SAAFE launch ultra-fast --on emulator --yes --set out=readonly/r", "readonly/r"),
        ("SAAFE detect closed fire.csv", "is unreadable (Permission denied)"),
        ("SAAFE evaluate closed", "is unreadable (Permission denied)"),
        ("SAAFE exam closed", "is unreadable (Permission denied)"),
        ("SAAFE detect secret fire.csv", "is unreadable (Permission denied)"),
        ("SAAFE detect secret.csv", "secret.csv"),
        ("SAAFE detect - <&-", "no line came"),
        ("SAAFE data check secret.csv", "secret.csv: may not be read"),
        ("SAAFE data check --repair fire.csv --out readonly/x.csv", "Permission denied"),
        ("SAAFE jobs --out closed", "'closed' is not readable"),
        ("SAAFE --help >&-", "stdout is closed"),
        pytest.param("SAAFE --help >/dev/full", "stdout: No space left", marks=needs_full),
        pytest.param("SAAFE prices >/dev/full", "stdout: No space left", marks=needs_full),
        pytest.param("SAAFE prices --json >/dev/full", "stdout: No space", marks=needs_full),
        (
            "SAAFE data check fire.csv | true; exit ${PIPESTATUS[0]}",
            "stdout: Broken pipe",
        ),
    ],
)
def test_what_is_closed_or_full_is_one_line(place: Path, line: str, said: str) -> None:
    code, out, err = shell(place, line)
    assert (code, out) == (1, ""), err
    assert said in err
    assert err.startswith("saafe: ")
    assert err.count("\n") == 1, err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (f"{SIMULATE} --out file", "file: File exists"),
        (f"{SIMULATE} --out file/x", "file/x: Not a directory"),
        ("train --out file", "Not a directory"),
        ("train --name ../x", "--name ../x: allowed is a folder's name"),
        ("train --name a/b --resume", "--name a/b: allowed is a folder's name"),
        ("launch ultra-fast --on emulator --yes --set out=file/r", "file/r"),
        ("detect file fire.csv", "file: is a file, but no exported .onnx"),
        ("detect table.tsv", "table.tsv, row 1: cells separated by '\\t'; this reads it: saafe"),
        ("detect sheet.xlsx", "sheet.xlsx: a spreadsheet or a ZIP"),
        ("detect RUN/model.safetensors", "is a file, but no exported .onnx"),
        ("detect RUN/model.safetensors fire.csv", "is a file, but no exported .onnx"),
        ("detect nowhere fire.csv", "nowhere: no such run folder"),
        ("detect fire.cvs", "fire.cvs: no such recording or run folder; did you mean fire.csv?"),
        ("detect ./fire", "fire: no such recording or run folder; did you mean fire.csv?"),
        ("detect 127.0.0.1:1883", "mqtt://HOST[:PORT] for a broker"),
        ("detect mqtt:/127.0.0.1", "mqtt://HOST[:PORT] for a broker"),
        ("detect no/such/folder", "folder: no such recording or run folder; allowed: a run"),
        ("detect http://host/x.onnx fire.csv", "x.onnx: no such file; `saafe export RUN"),
        ("detect s3://bucket/X.ONNX fire.csv", "X.ONNX: no such file; `saafe export RUN"),
        ("detect readonly fire.csv", "readonly: has no model.safetensors"),
        ("detect RUN readonly", "readonly"),
        ("exam RUN --real file", "file"),
        ("exam RUN --quick --rivals", "rivals is of the full exam"),
        ("exam RUN --quick --real .", "real is of the full exam"),
        ("exam RUN --quick --seed 0", "seed is of the full exam"),
        ("evaluate RUN nowhere.csv", "nowhere.csv"),
        ("evaluate RUN --real-only", "--real-only: there are no recordings"),
        ("evaluate RUN --rival floor", "rival 'floor' is unknown; choose from fixed rule"),
        ("compare nowhere", "no such run folder"),
        ("data check readonly", "readonly"),
        ("data convert uhoo_homes file homes", "file"),
    ],
)
def test_wrong_paths_are_one_line(
    place: Path, words: str, said: str,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.chdir(place)
    assert run(saafe_group(), words.split()) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert err.startswith("saafe: ")
    assert err.count("\n") == 1, err


@pytest.mark.parametrize(
    ("word", "meant"),
    [("home.cvs", "home.csv"), ("hmoe.csv.gz.part", "home.csv"), ("runs/kitchn", "runs/kitchen"),
     ("homely", "home.csv"), ("10.0.0.1:1883", "")],
)  # fmt: skip
def test_a_lone_word_may_have_meant_a_recording_or_a_run(
    word: str, meant: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home.csv").write_text("")
    for name in ("home", "runs/kitchen"):
        (tmp_path / name).mkdir(parents=True)
    assert run(saafe.cli.saafe, ["detect", word]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(f"did you mean {meant}?" if meant else "mqtt://HOST[:PORT] for a broker")


@pytest.mark.parametrize("words", ["detect | fire.csv", "evaluate |", "exam |", "export | --to c",
                                   "serve |", "tune | --on ."])  # fmt: skip
def test_an_empty_name_is_no_run(
    place: Path, words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """It was the folder in which the command ran: the run there, or what files that holds."""
    monkeypatch.chdir(place / "RUN")
    given = ["" if word == "|" else word for word in words.split()]
    assert run(saafe_group(), given) == 1
    assert capsys.readouterr() == (
        "", "saafe: came an empty name; allowed: a run folder, such as runs/my-run\n"
    )  # fmt: skip


def test_recordings_alone(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(place)
    words = "evaluate RUN fire.csv fire.csv --real-only --no-floor --json"
    assert run(saafe_group(), words.split()) == 0
    out, err = capsys.readouterr()
    (figures,) = json.loads(out)["contestants"].values()
    assert list(figures) == ["recordings"]
    assert [row["alarms"] for row in figures["recordings"]] == [1, 1]
    assert "2 of 2 recordings scored" in err


@needs_full
def test_events_to_a_full_disk(place: Path) -> None:
    code, _, err = shell(place, "SAAFE detect fire.csv >/dev/full")
    assert (code, err.splitlines()[-1]) == (1, "saafe: stdout: No space left on device")
    assert "Traceback" not in err


FULL = {  # each says something on stderr before its answer; saafe's own model needs no torch
    "a file": "detect fahrenheit.csv",
    "a stream": "detect - < fahrenheit.csv",
    "a wrong option": "detect --no-such-option",
    "a failure": "detect gone.csv",
    "several files": "detect gone.csv fire.csv",
}


@needs_full
@pytest.mark.parametrize("case", FULL)
def test_notes_to_a_full_disk_change_neither_answer_nor_code(case: str, place: Path) -> None:
    """Once the first note ended a stream that was being watched: its alarm was lost."""
    rows = "".join(f"{10 * k},{70 if k < 30 else 180}\n" for k in range(60))
    (place / "fahrenheit.csv").write_text("time_s,temperature_c\n" + rows)
    code, out, err = shell(place, f"SAAFE {FULL[case]}")
    assert err
    assert ("alarm" in out) == ("csv" in FULL[case] and case != "a failure")
    assert shell(place, f"(SAAFE {FULL[case]}) 2>/dev/full") == (code, out, "")


def test_files_on_a_full_disk(place: Path) -> None:
    """A limit on the size of files stands for a full disk, which tests cannot have."""
    unwatched = "unset COVERAGE_PROCESS_CONFIG"  # `make coverage` writes files as well
    code, _, err = shell(place, f"{unwatched}; ulimit -f 0; SAAFE {SIMULATE} --out sim")
    assert code == 1
    assert err.splitlines()[-1].startswith("saafe: sim/simulated-00000.csv: cannot be written")
    assert "Traceback" not in err
    assert list((place / "sim").iterdir()) == []


@needs_full
def test_a_device_is_written_in_place() -> None:
    with pytest.raises(InputError, match="/dev/full: cannot be written"):
        write_atomically(Path("/dev/full"), b"x")
    assert Path("/dev/full").is_char_device()
    write_atomically(Path("/dev/null"), b"x")
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("options", ["", "--json"])
def test_ctrl_c(place: Path, options: str) -> None:
    out_name = f"many{options}"  # a folder of its own: that it is there says that work is on
    command = [sys.executable, "-m", "saafe", *SIMULATE.split(), "--out", out_name]
    command += options.split()
    command[command.index("1")] = "100000"
    process = subprocess.Popen(
        command, cwd=place, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    until = time.monotonic() + 60
    while not (place / out_name).exists() and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert err == "saafe: interrupted\n"
    assert out == ('{"error": "interrupted"}\n' if options else "")


def test_ctrl_c_while_text_is_executed(tmp_path: Path) -> None:
    """dataclasses and numba execute text; CPython remembers an interrupt there, handled or not."""
    (tmp_path / "stopped.py").write_text(
        "import sys, click\nfrom saafe.cli.output import run\n"
        "group = click.Group(commands=[click.Command('now', callback=lambda: exec(\n"
        "    'raise KeyboardInterrupt'))])\n"
        "sys.exit(run(group, ['now']))\n"
    )
    command = [sys.executable, "-m", "stopped"]
    path = f"{tmp_path}:{ROOT}"
    ended = subprocess.run(
        command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert (ended.returncode, ended.stderr) == (130, "saafe: interrupted\n")


# --- JSON on failure --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("train nothing", 1, "nothing"),
        ("train --epochs 3", 2, "a field is set by --set epochs=VALUE"),
        ("simulate --hours 0.2 --out o", 2, "a field is set by --set hours=VALUE"),
        ("launch tiny --held-out=3", 2, "a field is set by --set held_out=VALUE"),
        ("compare nowhere", 1, "no such run folder"),
        ("exam", 2, "Missing argument 'RUN'. `saafe train ultra-fast` makes one"),
        ("evaluate nowhere", 1, "no such run folder"),
        ("exam nowhere", 1, "no such run folder"),
        ("exam RUN --seed x", 2, "Invalid value"),
        (f"{SIMULATE} --out file", 1, "file: File exists"),
        ("simulate", 2, "Missing option"),
        ("data check nowhere.csv", 1, "no such file"),
        ("data convert nothing . x", 1, "nothing"),
        ("data audit nowhere.csv --group file", 1, "nowhere.csv"),
        ("launch nothing", 1, "nothing"),
        ("watch", 1, "which job?"),
        ("stop", 1, "which job?"),
        ("prices --tier nothing", 1, "nothing"),
        ("nothing", 2, "No such command"),
    ],
)
def test_json_on_failure(
    place: Path, words: str, code: int, said: str,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture,
) -> None:  # fmt: skip
    monkeypatch.chdir(place)
    assert run(saafe_group(), [*words.split(), "--json"]) == code
    out, err = capsys.readouterr()
    assert out.count("\n") == 1
    (message,) = json.loads(out).values()
    assert list(json.loads(out)) == ["error"]
    assert said in message
    assert message.rstrip(".") in err


def test_a_letter_is_no_field(capsys: pytest.CaptureFixture) -> None:
    assert run(saafe_group(), ["train", "-x"]) == 2
    assert "No such option '-x'; `saafe train --help` says more" in capsys.readouterr().err


def saafe_group() -> click.Group:
    from saafe.cli import saafe as group

    return group


def outcome(action: Callable[[], None]) -> int:
    group = click.Group("saafe")
    option = click.Option(["--json", "as_json"], is_flag=True)
    group.add_command(click.Command("go", callback=lambda as_json: action(), params=[option]))
    return run(group, ["go", "--json"])


def test_one_document_where_a_command_fails_after_it_answered(capsys) -> None:
    from saafe.cli.output import print_json

    def answer_and_fail() -> None:
        print_json({"found": float("nan")})
        raise InputError("must not be scored on")

    assert outcome(answer_and_fail) == 1
    assert capsys.readouterr() == ('{"found": null}\n', "saafe: must not be scored on\n")


@pytest.mark.parametrize("command", ["watch", "stop"])
def test_one_document_where_a_rented_job_fails(monkeypatch, capsys, command: str) -> None:
    def fail(cloud: object, entry: object) -> None:
        raise InputError("the job ended as Failed")

    cloud = SimpleNamespace(ledger=SimpleNamespace(find=lambda job: {"job": job}))
    monkeypatch.setattr("saafe.cli.cloud._find", lambda **job: (cloud, {"job": "x"}))
    monkeypatch.setattr("saafe.cli.cloud.stop", lambda cloud, entry: entry)
    monkeypatch.setattr("saafe.cli.cloud.view", lambda entry: entry)
    monkeypatch.setattr("saafe.cli.cloud.finish", fail)
    assert run(saafe_group(), [command, "x", "--json"]) == 1
    out, err = capsys.readouterr()
    assert json.loads(out) == {"job": "x"}
    assert err == "saafe: the job ended as Failed\n"


def test_lines_of_errors(capsys) -> None:
    def fail(error: BaseException) -> Callable[[], None]:
        def action() -> None:
            raise error

        return action

    for error, code, line in [
        (PermissionError(13, "Permission denied", "a\nb"), 1, "a b: Permission denied"),
        (OSError("no number"), 1, "no number"),
        (UnicodeEncodeError("ascii", "é", 0, 1, "no"), 1, "codec"),
        (KeyboardInterrupt(), 130, "interrupted"),
        (KeyboardInterrupt("stopped; go on"), 130, "stopped; go on"),
        (click.Abort(), 130, "interrupted"),
        (MemoryError(), 1, "out of memory; "),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), 1, "out of memory"),
        (RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"), 1, "out of memory; "),
    ]:
        assert outcome(fail(error)) == code
        out, err = capsys.readouterr()
        assert line in json.loads(out)["error"]
        assert err.count("\n") == 1
    for bug in (KeyError("x"), ValueError("x"), TypeError("x"), RuntimeError("x")):
        with pytest.raises(type(bug)):
            outcome(fail(bug))


def test_json_holds_no_nan() -> None:
    value = {"a": float("nan"), "b": [float("inf"), (1.5, -float("inf"))], "c": "NaN", "d": None}
    text = json_text(value)
    assert text == '{"a": null, "b": [null, [1.5, null]], "c": "NaN", "d": null}'


def test_progress_without_a_terminal_is_plain_lines(capsys) -> None:
    with counting("abc", 3, "letters") as counted:
        assert list(counted) == ["a", "b", "c"]
    assert capsys.readouterr().err == "3 of 3 letters\n"


@pytest.mark.parametrize("name", ["../x", "/etc/x", "..", ".", "", "a/b\\c\n", "a.b"])
def test_names_stay_in_their_folder(name: str) -> None:
    plain = plain_name(name)
    assert Path(plain).name == plain not in ("", ".", "..")
    assert (plain == name) == (name == "a.b")


# --- damaged weights --------------------------------------------------------------------------


@pytest.fixture
def model(place: Path, tmp_path: Path) -> Path:
    """The weights of a run that may be damaged."""
    return saved(tmp_path / "run") / runs.MODEL


def refused(file: Path) -> str:
    with pytest.raises(InputError) as raised:
        runs.load(file.parent)
    message = str(raised.value)
    assert message.startswith(f"{file} is damaged (")
    assert message.endswith("): copy the run again")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("at", [0.0, 0.01, 0.1, 0.3, 0.5, 0.9, 1.0])
@pytest.mark.parametrize("kind", ["truncated", "zeroed", "flipped", "all ones"])
def test_damaged_weights(model: Path, kind: str, at: float) -> None:
    data = bytearray(model.read_bytes())
    k = min(int(at * len(data)), len(data) - 4)
    match kind:
        case "truncated":
            del data[k:]
        case "zeroed":
            data[k : k + 4] = bytes(4) if any(data[k : k + 4]) else b"\1\1\1\1"
        case "flipped":
            data[k] ^= 1
        case _:
            data[k : k + 4] = b"\xff" * 4
    model.write_bytes(data)
    refused(model)


def test_every_flipped_bit_of_a_header_is_damage(model: Path) -> None:
    """Recipe and alarm settings stand there too: a changed threshold is as bad as a weight."""
    whole = model.read_bytes()
    size = 8 + int.from_bytes(whole[:8], "little")
    text = whole[:size].rstrip(b" ")  # spaces pad it, and say nothing
    mark = text.index(b'"sha256"')  # without it a file passes for an older one
    for k in {*range(0, len(text), 7)} - {*range(mark, mark + 8)}:
        data = bytearray(whole)
        data[k] ^= 2
        model.write_bytes(data)
        with pytest.raises(InputError) as raised:
            runs.load(model.parent)
        assert "\n" not in str(raised.value)
    model.write_bytes(whole)
    assert runs.load(model.parent).recipe == TINY


def older(model: Path, change: Callable[[dict], None]) -> None:
    """Write the weights as versions did that knew no checksum."""
    tensors = dict(runs.load(model.parent).model.state_dict())
    change(tensors)
    metadata = {
        "format": runs.RUN_FORMAT,
        "recipe": json.dumps(to_dict(TINY)),
        "alarms": json.dumps(AlarmSettings().to_dict()),
    }
    model.write_bytes(save(tensors, metadata))


def test_older_runs_load_and_must_be_finite(model: Path) -> None:
    assert runs.load(model.parent).has_checksum
    older(model, lambda tensors: None)
    assert runs.load(model.parent).recipe == TINY
    assert not runs.load(model.parent).has_checksum

    def spoil(tensors: dict) -> None:
        name = next(name for name, tensor in tensors.items() if tensor.is_floating_point())
        tensors[name] = tensors[name] * float("inf")

    older(model, spoil)
    assert "weights that are no numbers" in refused(model)


@pytest.mark.parametrize("bad", ["nowhere.csv", "secret.csv", "deep.json", "a\nb.csv"])
def test_one_bad_file_of_several_is_skipped_and_named(place: Path, bad: str) -> None:
    (place / "deep.json").write_text("[" * 5000)
    (place / "a\nb.csv").write_text("Zeit;Temperatur\n")
    code, out, said = shell(place, f"SAAFE detect fire.csv $'{bad}' fire.csv".replace("\n", "\\n"))
    assert code == 1
    events = [json.loads(line) for line in out.splitlines()]
    assert [event["event"] for event in events] == ["alarm"] * 2
    assert {event["file"] for event in events} == {"fire.csv"}
    assert said.splitlines()[-1].startswith("saafe: skipped 1 of 3 files: ")
    assert len([line for line in said.splitlines() if line.startswith("saafe: ")]) == 2
    assert "Traceback" not in said


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "1e18", "0.5", "0", "-3", "86401", "x"])
def test_a_longest_interval_that_no_sensor_has_is_wrong_usage(
    place: Path, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(place)
    assert run(saafe_group(), ["detect", "RUN", "fire.csv", f"--longest-interval={value}"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("saafe: ") == 1
    assert "--longest-interval" in said.err
    if value == "x":
        return
    with pytest.raises(InputError, match="longest interval"):
        saafe.Detector(saafe.load("RUN"), longest_interval_s=float(value))


def test_finite_weights_whose_risk_is_no_number_are_damage(model: Path, place: Path) -> None:
    def spoil(tensors: dict) -> None:
        for name, tensor in tensors.items():
            if tensor.is_floating_point():
                tensors[name] = tensor * 1e30

    older(model, spoil)
    code, out, said = shell(place, f"SAAFE detect {model.parent} fire.csv")
    assert (code, out) == (1, "")
    assert "has no checksum" in said
    assert "is damaged (its risk is no number)" in said.splitlines()[-1]


def test_checksum_is_said(model: Path) -> None:
    data = bytearray(model.read_bytes())
    data[-1] ^= 1
    model.write_bytes(data)
    assert "checksum" in refused(model)


@pytest.mark.parametrize("words", ["detect home.csv", "plot home.csv", "data check home.csv"])
def test_a_second_preset_is_refused_where_a_file_has_one_vendor(words: str, tmp_path: Path) -> None:
    """The last one counted, and the first was forgotten without a word."""
    path = tmp_path / "home.csv"
    path.write_text("time_s,temperature_c\n0,21\n10,21\n")
    words = words.replace("home.csv", str(path))
    presets = ["--preset", "purpleair", "--preset", "airgradient"]
    result = CliRunner().invoke(saafe.cli.saafe, [*words.split(), *presets])
    assert result.exit_code != 0
    assert "--preset: came purpleair and airgradient; allowed: one" in str(result.exception)


def test_every_preset_of_a_broker_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the last one was looked at."""
    monkeypatch.chdir(tmp_path)
    words = ["detect", "mqtt://127.0.0.1:9", "--preset", "zigbee", "--preset", "esphome"]
    result = CliRunner().invoke(saafe.cli.saafe, words)
    assert "--preset zigbee: no such preset of topics" in str(result.exception)


@pytest.mark.parametrize(
    "words", [["data", "convert"], ["simulate"], ["exam", "a", "b"], ["nosuch"]]
)
def test_wrong_usage_is_said_in_one_way(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(saafe.cli.saafe, words) == 2
    usage, *_, line = capsys.readouterr().err.splitlines()
    assert usage.startswith("Usage: saafe")
    assert line.startswith("saafe: ")
    assert line.endswith("--help` says more")


@pytest.mark.parametrize("command", ["detect {url}", "serve --mqtt {url}"])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("", "no topics: give --preset"),
        ("--preset zigbe2mqtt", "no such preset of topics"),
        ("--topic zigbee2mqtt/{{room}}", "no part {room}"),
        ("--preset json --password-file nosuch", "nosuch: cannot be read"),
        ("--preset json --base a/#", "--base a/#"),
        ("--preset json --worker 3/2", "--worker 3/2"),
        ("--preset json --keep-days 3", "give --keep FOLDER too"),
    ],
)
def test_wrong_options_of_a_broker_are_said_before_the_state_file_is_touched(
    command: str, options: str, said: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """One that another saafe uses must not hide them, nor be read again under other options."""
    monkeypatch.chdir(tmp_path)
    words = f"{command} {options}".format(url="mqtt://127.0.0.1:1").split()
    assert run(saafe.cli.saafe, words) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not (tmp_path / "saafe.sqlite").exists()


def commands_below(words: list[str], command: click.Command) -> Iterator[list[str]]:
    """The words of a command and of all below it."""
    yield words
    for name, one in getattr(command, "commands", {}).items():
        yield from commands_below([*words, name], one)


@pytest.mark.parametrize("words", list(commands_below([], saafe.cli.saafe)), ids=" ".join)
def test_nothing_and_an_option_that_is_none_are_answered_in_full_lines(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Of each command and group: a group alone shows its help as `--help` does."""
    assert run(saafe.cli.saafe, [*words, "--no-such-option"]) == 2
    *_, line = capsys.readouterr().err.splitlines()
    assert re.fullmatch(r"saafe: No such option .*; `saafe.* --help` says more", line)
    assert run(saafe.cli.saafe, [*words, "--help"]) == 0
    shown = capsys.readouterr().out
    command: Any = saafe.cli.saafe
    for word in words:
        command = command.commands[word]
    if isinstance(command, click.Group):
        assert run(saafe.cli.saafe, words) == 2
        assert capsys.readouterr().err.rstrip() == shown.rstrip()
    elif any(one.required for one in command.params):
        assert run(saafe.cli.saafe, words) in (1, 2)
        said = [line for line in capsys.readouterr().err.splitlines() if "saafe: " in line]
        assert len(said) == 1
        assert said[0].startswith("saafe: ")
        assert "\t" not in said[0]


def test_a_folder_of_recordings_is_answered_with_the_pattern(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("")
    done = CliRunner().invoke(saafe.cli.saafe, ["detect", "runs/x", str(tmp_path)])
    assert f"such as '{tmp_path}/*.parquet'" in str(done.exception)


def test_sources_are_listed() -> None:
    done = CliRunner().invoke(saafe.cli.saafe, ["simulate", "--source", "list", "--json"])
    groups = json.loads(done.stdout)
    assert set(groups) == {"fire", "nuisance", "cooking"}
    assert mix_of(("cooking",)).nuisances == tuple(groups["cooking"])
    assert mix_of(("fire",)).fires == tuple(groups["fire"])

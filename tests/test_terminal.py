"""What a person at a terminal meets: completion, did_you_mean names, progress, JSON everywhere."""

import io
import json
import os
import pty
import re
import subprocess
import sys
import termios
import time
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner

from saafe.cli import COMMANDS, saafe
from saafe.cli.output import NOW_AND_THEN_S, did_you_mean, names_near
from saafe.cli.progress import (
    Busy,
    ProgressLines,
    counting,
    fitted,
    seconds_left,
    seconds_so_far,
    starting,
)
from saafe.cli.reading import check_run_folder
from saafe.cli.tables import print_rows
from saafe.cli.train import SETTING_THRESHOLDS, Reporter
from saafe.errors import InputError
from saafe.own_rooms import held_out

ROOT = Path(__file__).parents[1]


def commands(
    group: click.Group, path: tuple[str, ...] = ()
) -> list[tuple[tuple[str, ...], click.Command]]:
    found = []
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        if isinstance(command, click.Group):
            found += commands(command, (*path, name))
        else:
            found.append(((*path, name), command))
    return found


EVERY = commands(saafe)


def shell(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "saafe", *words], capture_output=True, text=True, cwd=ROOT,
        env={**os.environ, **more}, check=False,
    )  # fmt: skip


# --- JSON and names ---------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "command"), EVERY, ids=[" ".join(path) for path, _ in EVERY])
def test_every_command_takes_json(path: tuple[str, ...], command: click.Command) -> None:
    assert "--json" in [name for one in command.params for name in one.opts], path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["trian"], "Did you mean train?"),
        (["simualte"], "simulate"),
        (["data", "chek"], "check"),
        (["devices", "lst"], "list"),
        (["train", "--sede", "1"], "--seed"),
    ],
)
def test_a_mistyped_command_is_answered_with_the_nearest(words: list[str], said: str) -> None:
    done = CliRunner().invoke(saafe, words)
    assert done.exit_code == 2
    assert "No such" in done.output
    assert said in done.output


def test_what_is_near_nothing_gets_no_suggestion() -> None:
    done = CliRunner().invoke(saafe, ["zzzzz"])
    assert done.exit_code == 2
    assert "Did you mean" not in done.output
    assert did_you_mean("zzzzz", COMMANDS) == ""


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["simulate", "--out", "x", "--source", "curtian"], "did you mean curtain"),
        (["data", "convert", "uhoo_home", "a", "b"], "Did you mean uhoo_homes"),
        (["train", "ultrafast"], "did you mean ultra-fast?"),
        (["train", "--device", "saafe6"], "did you mean saafe-6"),
        (["evaluate", "runs/mime"], "did you mean runs/mine?"),
        (["exam", "runs/mime"], "did you mean runs/mine?"),
        (["export", "runs/mime", "--to", "onnx"], "did you mean runs/mine?"),
        (["tune", "runs/mime", "--on", "x"], "did you mean runs/mine?"),
        (["compare", "runs/mime"], "did you mean runs/mine?"),
        (["detect", "runs/mime", "a.csv"], "did you mean runs/mine?"),
        (["plot", "a.csv", "--model", "runs/mime"], "did you mean runs/mine?"),
    ],
)
def test_a_mistyped_name_is_answered_with_the_nearest(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    (tmp_path / "a.csv").write_text("time_s,temperature_c\n0,20\n10,20\n")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(saafe, words)
    assert isinstance(done.exception, InputError), done.output
    assert said in str(done.exception)
    assert "\n" not in str(done.exception)


def test_lines_that_were_told_are_waited_for_and_not_said_again(
    capsys: pytest.CaptureFixture,
) -> None:
    told: set[str] = set()
    for _ in range(2):
        with ProgressLines(told=told, silent_s=0.01) as say:
            say("a note")
            time.sleep(0.05)
    err = capsys.readouterr().err.splitlines()
    assert err.count("a note") == 1
    assert len([line for line in err if "at work; last: a note" in line]) == 2


def test_a_run_that_is_there_is_let_pass(tmp_path: Path) -> None:
    (tmp_path / "kitchen").mkdir()
    with pytest.raises(InputError, match=r"did you mean \S*/kitchen\?"):
        check_run_folder(str(tmp_path / "kitchem"))
    for name in ("kitchen", "zzzzzzzzzz"):  # near nothing: the loader says it
        assert check_run_folder(str(tmp_path / name)) is None


@pytest.mark.parametrize(
    ("word", "first"),
    [("paper_bin", ["bin"]), ("foam", ["smouldering_foam", "flaming_foam"]), ("fryng", ["frying"])],
)
def test_a_name_that_shares_a_word_is_nearer_than_one_that_shares_letters(
    word: str, first: list[str]
) -> None:
    known = ["vaping", "e_bike", "open_window", "smouldering_foam", "flaming_foam", "bin", "frying"]
    assert names_near(word, known)[: len(first)] == first


# what a user may take for a run, and what is said of it
NO_RUNS = {
    "model": "is a folder of exported files",
    "c": "is a folder of exported files",
    "empty": "has no model.safetensors, so it is no run",
    "model/saafe-int8.onnx": "is an exported model",
    "a.csv": "is a file",
}


@pytest.fixture
def no_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with `NO_RUNS` in it."""
    for folder in ("model", "c", "empty"):
        (tmp_path / folder).mkdir()
    for name in ("model/saafe-int8.onnx", "c/saafe.h", "c/export-c.json"):
        (tmp_path / name).write_text("")
    (tmp_path / "a.csv").write_text("time_s,temperature_c\n0,20\n10,20\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("command", ["tune {} --on rooms", "export {} --to onnx", "compare {}"])
@pytest.mark.parametrize("given", NO_RUNS)
def test_what_needs_the_weights_of_a_run_says_what_came_and_what_makes_one(
    command: str, given: str, no_runs: Path
) -> None:
    done = CliRunner().invoke(saafe, command.format(given).split())
    assert isinstance(done.exception, InputError), done.output
    said = str(done.exception)
    assert said.startswith(f"{given}: {NO_RUNS[given]}; allowed: a run folder, which holds the")
    assert said.endswith(
        "train one: `saafe train ultra-fast` makes one under runs/ in about 3 minutes"
    )


@pytest.mark.parametrize("command", ["tune --on rooms", "exam", "export --to c"])
def test_a_run_that_is_not_named_is_answered_with_what_makes_one(command: str) -> None:
    done = CliRunner().invoke(saafe, command.split())
    assert done.exit_code == 2
    assert "Missing argument 'RUN'. `saafe train ultra-fast` makes one under runs/" in done.output


@pytest.mark.parametrize(
    "command",
    ["detect {} a.csv", "serve {}", "evaluate {} a.csv", "plot a.csv --model {}",
     "devices compare saafe-6 --model {}"],
)  # fmt: skip
@pytest.mark.parametrize("given", ["model", "c", "empty"])
def test_a_folder_that_is_no_model_is_answered_with_the_file_in_it_that_is_one(
    command: str, given: str, no_runs: Path
) -> None:
    done = CliRunner().invoke(saafe, command.format(given).split())
    assert isinstance(done.exception, InputError), done.output
    mend = "name model/saafe-int8.onnx" if given == "model" else "or none for saafe's own model"
    said = str(done.exception)
    assert said.startswith(f"{given}: {NO_RUNS[given]}; allowed: a run folder or an exported .onnx")
    assert said.endswith(mend)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("plot model/saafe-int8.onnx", "saafe plot RECORDING --model model/saafe-int8.onnx"),
        ("evaluate set", "set: is an annotated set, and no model; give it as --real set"),
        ("evaluate model/saafe-int8.onnx set", "set: is a folder; name its recordings"),
    ],
)
def test_what_stands_in_a_wrong_place_is_answered_with_its_own(
    command: str, said: str, no_runs: Path
) -> None:
    (no_runs / "set").mkdir()
    (no_runs / "set" / "set.json").write_text("{}")
    done = CliRunner().invoke(saafe, command.split())
    assert isinstance(done.exception, InputError), done.output
    assert said in str(done.exception)


# --- detect --json ----------------------------------------------------------------------------


def test_detect_prints_one_document_where_asked(tmp_path: Path) -> None:
    rows = [f"{10 * k},A,{20 if k < 30 else 80}" for k in range(60)]
    (tmp_path / "hot.csv").write_text("\n".join(["time_s,sensor,temperature_c", *rows]) + "\n")
    file = str(tmp_path / "hot.csv")
    lines = [
        json.loads(one) for one in CliRunner().invoke(saafe, ["detect", file]).stdout.splitlines()
    ]
    found = json.loads(CliRunner().invoke(saafe, ["detect", file, "--json"]).stdout)
    assert found["failed"] == []
    assert [one["file"] for one in found["files"]] == [file]
    assert found["files"][0]["events"] == lines
    assert found["files"][0]["check"]["rows"] == 60
    done = CliRunner().invoke(saafe, ["detect", file, str(tmp_path / "no.csv"), "--json"])
    assert done.exit_code == 1
    mixed = json.loads(done.stdout)
    assert [one["file"] for one in mixed["files"]] == [file]
    assert [one["file"] for one in mixed["failed"]] == [str(tmp_path / "no.csv")]


@pytest.mark.parametrize("words", [["-"], [], ["mqtt://host"]])
def test_a_stream_has_no_end_for_one_document(words: list[str]) -> None:
    done = CliRunner().invoke(saafe, ["detect", "nowhere", *words, "--json"])
    assert "a stream has no end" in str(done.exception)


# --- completion -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(name: str) -> None:
    done = CliRunner().invoke(saafe, ["completion", name])
    assert done.exit_code == 0
    assert "_SAAFE_COMPLETE" in done.stdout
    assert "saafe" in done.stdout
    told = json.loads(CliRunner().invoke(saafe, ["completion", name, "--json"]).stdout)
    assert told == {"shell": name, "script": done.stdout.removesuffix("\n")}


@pytest.mark.parametrize(
    ("typed", "place", "offered"),
    [
        ("saafe tr", "1", "train"),
        ("saafe data im", "2", "import"),
        ("saafe train u", "2", "ultra-fast"),
        ("saafe train --str", "2", "--strict"),
        ("saafe completion z", "2", "zsh"),
    ],
)
def test_completion_offers_what_fits(typed: str, place: str, offered: str) -> None:
    done = shell(_SAAFE_COMPLETE="bash_complete", COMP_WORDS=typed, COMP_CWORD=place)
    assert f"plain,{offered}" in done.stdout.splitlines()


def test_the_script_of_bash_is_bash() -> None:
    script = CliRunner().invoke(saafe, ["completion", "bash"]).stdout
    assert "complete " in script, "an empty script would be bash too"
    done = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


# --- progress ---------------------------------------------------------------------------------


def test_a_silent_step_is_named_and_timed(capfd: pytest.CaptureFixture) -> None:
    with Busy("thinking", silent_s=0.05):
        time.sleep(0.4)
    err = capfd.readouterr().err
    assert err == "thinking: 00:00 so far\n", "a file gets a line now and then, and no \\r"


def test_a_silent_step_says_at_which_stage_it_is(capfd: pytest.CaptureFixture) -> None:
    with Busy("thinking", silent_s=0.05) as busy:
        busy.now("part 1 of 2")
        time.sleep(0.4)
    assert capfd.readouterr().err == "thinking, part 1 of 2: 00:00 so far\n"


def test_of_stages_that_are_counted_it_is_said_how_long_the_rest_takes(
    capfd: pytest.CaptureFixture,
) -> None:
    with Busy("scoring", silent_s=0.7) as busy:
        busy.now("simulations (1 of 9)")
        time.sleep(0.5)
        busy.now("simulations (2 of 9)")
        time.sleep(0.5)
    (line,) = capfd.readouterr().err.splitlines()
    assert re.fullmatch(r"scoring, simulations \(2 of 9\): 00:0\d so far, about 00:0\d left", line)
    with Busy("scoring", silent_s=0.5) as busy:
        time.sleep(0.1)
        busy.now("simulations (9 of 9)")  # overdue by the time that it is told
        time.sleep(0.6)
    assert capfd.readouterr().err == "scoring, simulations (9 of 9): 00:00 so far\n"


def test_held_out_days_say_how_long_the_rest_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(held_out, "TOLD_EVERY_S", 0.0)
    lines: list[str] = []
    assert list(held_out.told("abcd", "kitchen held out", lines.append)) == list("abcd")
    assert lines == [f"kitchen held out: {k} of 4, about 00:00 left" for k in (1, 2, 3)]
    monkeypatch.setattr(held_out, "TOLD_EVERY_S", 10.0)
    list(held_out.told("abcd", "kitchen held out", lines.append))
    assert len(lines) == 3, "a line now and then"


def test_between_lines_it_is_said_what_the_last_was_of(capfd: pytest.CaptureFixture) -> None:
    with ProgressLines(silent_s=0.1) as say:
        say("fold 1 of 2: epoch 8/8")
        say("fold 2 of 2: epoch 1/8")
        time.sleep(0.4)
        say("done")
    said = "at work; last: fold 2 of 2: 00:00 so far"
    assert capfd.readouterr().err.splitlines() == [
        "fold 1 of 2: epoch 8/8", "fold 2 of 2: epoch 1/8", said, "done",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "went_s"),
    [
        ("60 of 66 kinds: 01:20 so far, about 00:20 left", 80.0),
        ("276 fires: 61:05 so far", 3665.0),
        ("0 false alarms so far", 0.0),
        ("fold 1 of 2: epoch 8/8, about 00:10 left", 0.0),
    ],
)
def test_time_so_far_goes_on_from_what_the_last_line_said(
    line: str, went_s: float, capfd: pytest.CaptureFixture
) -> None:
    with ProgressLines(silent_s=0.1) as say:
        say(line)
        time.sleep(0.4)
    _, waiting = capfd.readouterr().err.splitlines()
    assert went_s <= seconds_so_far(waiting) <= went_s + 5.0


def test_lines_of_progress_stay_apart_and_the_last_is_said(capfd: pytest.CaptureFixture) -> None:
    with ProgressLines(silent_s=0.1, apart_s=1.0) as say:
        for number in range(1, 6):
            say(f"fire {number}: {number} of 5")
            time.sleep(0.2)
    assert capfd.readouterr().err.splitlines() == ["fire 1: 1 of 5", "fire 5: 5 of 5"]
    with ProgressLines(apart_s=0.1) as say:
        say("fire 1: 1 of 2")
        time.sleep(0.2)
        say("fire 2: 2 of 2")
    assert capfd.readouterr().err.splitlines() == ["fire 1: 1 of 2", "fire 2: 2 of 2"]


def test_a_comparison_into_a_pipe_says_little() -> None:
    began = time.monotonic()
    words = ["devices", "compare", "saafe-6", "--fires", "1", "--nuisances", "0"]
    done = CliRunner().invoke(saafe, words)
    assert done.exit_code == 0, done.output
    lines = done.stderr.splitlines()
    assert 2 <= len(lines) <= 2 + (time.monotonic() - began) / NOW_AND_THEN_S
    assert "23 of 23" in lines[-1]


def test_a_short_step_says_nothing(capfd: pytest.CaptureFixture) -> None:
    with Busy("thinking"):
        pass
    assert capfd.readouterr().err == ""


def test_a_long_start_is_told_in_a_file_too(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    """Imports take eight seconds and more where a machine has other work."""
    monkeypatch.setattr("saafe.cli.progress.BETWEEN_LINES_S", 0.05)
    with starting():
        time.sleep(0.3)
    assert capfd.readouterr().err.startswith("starting: 00:00 so far\n")


def test_a_command_ends_without_looking_through_all_that_it_imported() -> None:
    """With torch that took a second after the last line, on a busy machine several."""
    code = (
        "import atexit, gc, sys; from saafe.cli import main; sys.argv = ['saafe', '--version']\n"
        "atexit.register(lambda: print(gc.get_freeze_count() > 1000))\nmain()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.splitlines()[-1] == "True"


def test_waiting_ends_with_an_error(capfd: pytest.CaptureFixture) -> None:
    with pytest.raises(KeyError), Busy("thinking", silent_s=0.05):
        raise KeyError("x")
    time.sleep(0.2)
    assert capfd.readouterr().err == "", "nobody goes on counting"


# until the line that counts is there: on a busy machine that may take a while
SAID = "    while not busy._shown: time.sleep(0.05)"


def on_a_terminal(*code: str, columns: int = 80) -> str:
    """What code says on stderr to a terminal of so many columns."""
    leader, follower = pty.openpty()
    termios.tcsetwinsize(follower, (24, columns))
    text = "\n".join(["import time; from saafe.cli.progress import *", *code])
    # where COLUMNS is set, a terminal's own width would yield to it
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
    subprocess.run(
        [sys.executable, "-c", text], stderr=follower, cwd=ROOT, check=True,
        env={**kept, "TERM": "xterm"},
    )  # fmt: skip
    os.close(follower)
    shown = os.read(leader, 10_000).decode()
    os.close(leader)
    return shown


def test_on_a_terminal_the_line_goes_away() -> None:
    shown = on_a_terminal(
        "with Busy('x', silent_s=0.1) as busy:",
        "    busy.now('a long stage')",
        "    time.sleep(0.5)",
        "    busy.now('')",
        "    time.sleep(1)",
    )
    assert "x, a long stage: 00:00 so far" in shown
    blank = " " * len(", a long stage")
    assert f"x: 00:01 so far{blank}\r" in shown, "no end of the longer line stays"
    assert shown.endswith("\r"), "and the line is blank again"
    assert "\n" not in shown


@pytest.mark.parametrize("columns", [20, 40, 80])
def test_a_line_that_counts_is_narrower_than_the_terminal(columns: int) -> None:
    """One that is wider goes over two, and each second leaves another."""
    shown = on_a_terminal(
        f"with Busy({'scoring the run and ' * 6!r}, silent_s=0.1) as busy:",
        "    busy.now('other rooms (2 of 3)')",
        SAID,
        columns=columns,
    )
    assert max(map(len, shown.split("\r"))) == columns - 1, shown
    assert "so far" in shown


@pytest.mark.parametrize(
    ("what", "left", "columns", "line"),
    [
        ("drawing it", "", 40, "drawing it: 00:02 so far"),
        ("drawing a/long/path.csv", "", 40, "drawing a/long/path.csv: 00:02 so far"),
        ("drawing a/longer/path/of.csv", "", 40, "drawing a/longer/path/...: 00:02 so far"),
        ("drawing a/longer/path.csv", "", 20, "dr...: 00:02 so far"),
        ("drawing a/longer/path.csv", "", 10, "...: 00:0"),
        ("fires", "about 00:09 left", 40, "fires: 00:02 so far, about 00:09 left"),
        ("kinds, fires", "about 00:09 left", 40, "kinds, fires: about 00:09 left"),
        ("30 of 66 kinds simulated, or", "about 00:09 left", 40,
         "30 of 66 kinds sim...: about 00:09 left"),
    ],
)  # fmt: skip
def test_what_goes_on_is_cut_before_the_times_are(
    what: str, left: str, columns: int, line: str
) -> None:
    assert fitted(what, "00:02 so far", left, columns) == line
    assert len(line) < columns


def test_a_line_that_stays_is_not_said_behind_the_one_that_counts() -> None:
    shown = on_a_terminal(
        "with Busy('writing files', silent_s=0.1) as busy:",
        SAID,
        "    busy.say('comparing')",
        "with ProgressLines() as say:",
        "    say('scored: about 00:30 left')",
        "    busy = say._waiting",
        SAID,
    )
    assert re.search(r"\rwriting files: 00:0\d so far\rcomparing +\r\n", shown)
    left = r"\rat work; last: scored: 00:0\d so far, about 00:2\d left\r"
    assert re.search(left, shown), "on a terminal it is said after two seconds, and counts down"


def test_shares_and_counts_say_how_long_the_rest_takes(capfd: pytest.CaptureFixture) -> None:
    with Busy("kitchen.csv", silent_s=0.6) as busy:
        time.sleep(0.5)
        busy.reached(0.05)
        time.sleep(0.5)
    (line,) = capfd.readouterr().err.splitlines()
    assert re.fullmatch(r"kitchen.csv, 5 %: 00:0\d so far, about 00:\d\d left", line)
    assert seconds_left("fires: 01:10 so far, about 61:05 left") == 3665.0
    assert seconds_left("fires") is None


def test_of_items_it_is_said_at_which_it_is(
    capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Busy.__init__, "__kwdefaults__", {"silent_s": 0.7})
    told = ""
    with counting(range(500), 500, "recordings") as counted:
        for _ in counted:
            time.sleep(0.05)
            if told := capfd.readouterr().err:
                break
    assert re.fullmatch(r"recordings, \d+ of 500: 00:\d\d so far, about \d\d:\d\d left\n", told)
    assert capfd.readouterr().err == "500 of 500 recordings\n"


def progress(epoch: int, epochs: int = 2) -> SimpleNamespace:
    return SimpleNamespace(
        epoch=epoch, epochs=epochs, step=epoch, steps=epochs, loss=0.5, accuracy=0.5,
        samples_per_s=9.0, left_s=float(epochs - epoch),
    )  # fmt: skip


def test_the_end_of_a_training_is_not_silent(capfd: pytest.CaptureFixture) -> None:
    reporter = Reporter()
    reporter(progress(1))
    time.sleep(0.7)
    reporter(progress(2))
    time.sleep(0.8)
    reporter.say("examining")
    time.sleep(0.7)
    reporter.close()
    lines = capfd.readouterr().err.splitlines()
    assert lines[0].startswith("epoch 1/2")
    assert lines[1].startswith("epoch 2/2"), "an epoch that follows soon needs no more"
    assert lines[2:] == [f"{SETTING_THRESHOLDS}: 00:00 so far", "examining"]


def test_the_first_epoch_is_not_silent(
    capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Busy.__init__, "__kwdefaults__", {"silent_s": 0.1})
    reporter = Reporter()
    reporter.begin()
    time.sleep(0.4)
    reporter(progress(1))
    reporter.close()
    lines = capfd.readouterr().err.splitlines()
    assert lines[0] == "simulating, and training the first epoch: 00:00 so far"
    assert lines[1].startswith("epoch 1/2")


def test_what_was_read_before_a_training_is_waited_for_no_longer(
    capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last recording of --on was said to be read for as long as the training took."""
    monkeypatch.setattr(Busy.__init__, "__kwdefaults__", {"silent_s": 0.1})
    reporter = Reporter()
    for after in (reporter.begin, lambda: reporter(progress(1)), lambda: reporter(progress(2))):
        reporter.lines.silent_s = 0.1
        reporter.lines("kitchen: 2 days")
        after()
        time.sleep(0.4)
    reporter.close()
    assert "last: kitchen" not in capfd.readouterr().err


@pytest.mark.parametrize("columns", [40, 80])
def test_a_training_on_a_terminal_says_how_long_it_takes(columns: int) -> None:
    """At 80 columns the bar had one place, at 40 the time left none."""
    shown = on_a_terminal(
        "from types import SimpleNamespace",
        "from saafe.cli.train import Reporter",
        "reporter = Reporter()",
        "for epoch in (1, 2):",
        "    reporter(SimpleNamespace(epoch=epoch, epochs=32, step=25, steps=800, loss=0.5,",
        "                             accuracy=0.5, samples_per_s=4016.0, left_s=184.0))",
        "reporter.close()",
        columns=columns,
    )
    assert "epoch 2/32, 03:04 left" in shown
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown)
    assert max(map(len, re.split(r"[\r\n]", plain))) <= columns


def test_a_slow_epoch_is_not_called_thresholds(
    capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("saafe.cli.train.EARLY_STOP_S", 0.1)
    reporter = Reporter()
    reporter(SimpleNamespace(**vars(progress(1)) | {"left_s": 0.1}))
    time.sleep(0.7)
    reporter.close()
    lines = capfd.readouterr().err.splitlines()
    assert lines[1].startswith("training the next epoch, or setting thresholds")


def test_counts_in_a_file_have_no_carriage_return(capfd: pytest.CaptureFixture) -> None:
    with counting(range(5), 5, "things") as counted:
        assert list(counted) == list(range(5))
    assert capfd.readouterr().err == "5 of 5 things\n"


@pytest.mark.parametrize("columns", [40, 80])
def test_help_and_tables_fit(columns: int) -> None:
    for words in ([], ["train"], ["data"], ["detect"]):
        done = shell(*words, "--help", COLUMNS=str(columns))
        assert max(map(len, done.stdout.splitlines())) <= max(columns, 50), words
    done = shell("devices", "list", COLUMNS=str(columns))
    assert max(map(len, done.stdout.splitlines())) <= columns
    assert "\x1b" not in done.stdout, "plain where nobody watches"


def test_a_row_with_a_long_name_folds_within_the_terminal(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    name = "other rooms: fire windows over the threshold"
    print_rows(
        "simulated",
        ["figure", "run", "rival"],
        [(name, "97.1 % (96.0 to 98.1)", "8 %"), ("b", "", "")],
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].strip() == "simulated"
    assert (
        " ".join(line.strip() for line in lines[1:])
        == f"{name} run 97.1 % (96.0 to 98.1), rival 8 % b"
    )
    assert max(map(len, lines)) <= 40


def test_no_color_in_a_pipe() -> None:
    done = shell("prices")
    assert done.returncode == 0
    assert "\x1b" not in done.stdout + done.stderr
    assert io.StringIO(done.stdout).readline().strip()

"""Annotated sets: set.json and its recordings, read and scored beside the publishers' folders."""

import copy
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from raw_folders import write_house
from test_cli_errors import saved
from test_exam_recordings import HEAT, NEVER, detect_by

from saafe.cli import saafe as saafe_group
from saafe.cli.output import run
from saafe.errors import InputError
from saafe.exam import exam, recordings, report
from saafe.exam.judging import judge_real, judged_run
from saafe.exam.recorded_sets import NONE_SCORED, score_set
from saafe.exam.recordings import read_superposed
from saafe.exam.references import co_dose_intervals, first_signal_from, shown_limit
from saafe.exam.session import Session
from saafe.exam.tables import score_table, set_fires_table
from saafe.pictures.recording_picture import known_times
from saafe.readers import Published, Unreadable, read_annotated
from saafe.recordings import find_sets, merge_runs, read_sets, write_recording
from saafe.recordings.recording import Recording, read_recording
from saafe.sensors import CHANNELS, CO, TEMPERATURE
from saafe.training.runs import load

ROOT = Path(__file__).parents[1]
REAL = Path(os.environ.get("SAAFE_REAL", ROOT.parent / "shared" / "data"))
PLAN = recordings.ScoringOptions(dense_days=0.0)
NAN = float("nan")


def write(path: Path, header: str, rows: list[str]) -> None:
    path.write_text("\n".join([header, *rows]) + "\n")


def write_home(path: Path, hot: tuple[int, ...] = (), minutes: int = 600) -> None:
    """A home every minute, hot for five minutes from some minutes on."""
    heat = [40 if any(m <= k < m + 5 for m in hot) else 20 for k in range(minutes)]
    rows = [f"{60 * k},A,{value + k % 7 / 10:.1f},8" for k, value in enumerate(heat)]
    write(path, "time_s,sensor,temperature_c,pm25_ug_m3", rows)


def write_fire(path: Path, *, before: int = 60, drift: float = 0.0) -> None:
    """A fire every 10 s: so many readings before it, which may drift, then 2 K more a reading."""
    calm = [20 + drift * k / max(before, 1) for k in range(before)]
    heat = calm + [(calm[-1] if calm else 20) + 2 * k for k in range(1, 61)]
    rows = [f"{10 * k},A,{value:.1f}" for k, value in enumerate(heat)]
    write(path, "time_s,sensor,temperature_c", rows)


HOME = {
    "file": "home.csv",
    "kind": "home",
    "group": "h1",
    "cooking_s": [[6000, 7200], [8400, 9000]],
}
FIRE = {"file": "fire.csv", "kind": "fire", "group": "f1", "burning": "flaming",
        "ignition_s": 600, "limit_s": 720, "end_s": 900}  # fmt: skip
ABOUT = {"name": "ours", "origin": "a test", "licence": "CC0", "note": "made up"}


def write_set(folder: Path, *entries: dict, **about: object) -> Path:
    """A set.json, and a recording for each entry that has none yet."""
    folder.mkdir(parents=True, exist_ok=True)
    for entry in entries:
        path = folder / str(entry.get("file", "x"))
        if not path.exists():
            (write_fire if entry.get("kind") == "fire" else write_home)(path)
    document = ABOUT | {"recordings": list(entries)} | about
    (folder / "set.json").write_text(json.dumps(document))
    return folder


def read_items(folder: Path) -> list[Published | Unreadable]:
    (one,) = read_sets(folder)
    return list(read_annotated(one))


# --- reading


def test_a_set_gives_what_the_published_readers_give(tmp_path: Path) -> None:
    home, fire = read_items(write_set(tmp_path, HOME | {"days": 0.4}, FIRE))
    assert isinstance(home, Published)
    assert isinstance(fire, Published)
    assert (home.kind, home.group, home.days) == ("home", "h1", 0.4)
    assert home.stove == ((6000.0, 7200.0), (8400.0, 9000.0))
    assert (fire.kind, fire.group, fire.days) == ("flaming", "f1", None)
    assert fire.references == {"t_ignition": 600.0, "t_limit": 720.0, "t_end": 900.0}
    assert fire.recording.name == "fire"


def test_sets_are_found_at_and_under_a_folder(tmp_path: Path) -> None:
    write_set(tmp_path / "a", HOME, name="a")
    write_set(tmp_path / "sets" / "b", FIRE, name="b")
    write_set(tmp_path / ".hidden" / "c", FIRE, name="c")
    (tmp_path / "uhoo_homes").mkdir()
    (tmp_path / "sets" / "back").symlink_to(tmp_path)  # a link in a circle
    (tmp_path / "sets" / "z").symlink_to(tmp_path / "a")  # and one to what is there already
    assert [one.name for one in read_sets(tmp_path)] == ["a", "b"]
    assert [one.name for one in read_sets(tmp_path / "sets" / "b")] == ["b"]
    (tmp_path / "else").mkdir()
    (tmp_path / "else" / "linked").symlink_to(tmp_path / "a")
    assert [one.name for one in read_sets(tmp_path / "else")] == ["a"]
    assert find_sets(tmp_path / "nowhere") == []
    assert find_sets(tmp_path / "a" / "set.json") == []


def test_a_home_with_rows_labelled_fire_is_not_scored(tmp_path: Path) -> None:
    """Its alarms would all be false, and nobody would know why."""
    for kind, entry in (("home", HOME | {"cooking_s": []}), ("fire", FIRE)):
        rows = [f"{10 * k},20,{'fire' if k > 60 else 'normal'}" for k in range(121)]
        write(tmp_path / f"{kind}.csv", "time_s,temperature_c,label", rows)
        write_set(tmp_path, entry)
        (item,) = read_items(tmp_path)
        assert isinstance(item, Unreadable) == (kind == "home")
        if isinstance(item, Unreadable):
            assert "has rows labelled fire, and set.json calls it a home" in item.reason


@pytest.mark.parametrize(("ignition_s", "quiet_c", "is_doubted"), [
    (0, 21.0, False), (5, 21.0, False), (600, 21.0, False), (600, 71.0, True), (0, 71.0, True),
])  # fmt: skip
def test_of_a_fire_only_what_was_read_before_it_can_doubt_a_unit(
    ignition_s: float, quiet_c: float, is_doubted: bool, tmp_path: Path
) -> None:
    """A fire is hot and full of CO: its notes had asked for --unit temperature=F."""
    rows = [
        f"{10 * k},{quiet_c},0" if 10 * k <= ignition_s else f"{10 * k},200.0,900"
        for k in range(200)
    ]
    write(tmp_path / "fire.csv", "time_s,temperature_c,co_ppm", rows)
    (fire,) = read_items(write_set(tmp_path, FIRE | {"ignition_s": ignition_s}))
    assert isinstance(fire, Published)
    said = [*fire.check.notes, *fire.check.unit_doubts()]
    assert any("temperature" in line for line in said) == is_doubted, said
    assert not any("co has a median" in line for line in said), said


def test_two_sets_of_one_name_are_refused(tmp_path: Path) -> None:
    write_set(tmp_path / "a", HOME)
    write_set(tmp_path / "b", FIRE)
    with pytest.raises(
        InputError, match=r"b/set.json: the name 'ours', which .*a/set.json has too"
    ):
        read_sets(tmp_path)


GONE = object()


@pytest.mark.parametrize(
    ("which", "change", "said"),
    [
        ("set", {"name": GONE}, "name is missing; allowed: words in quotes"),
        ("set", {"name": "  "}, "name is '\"  \"'; allowed: words"),
        ("set", {"name": "a\nb"}, "allowed: words in one line"),
        ("set", {"licence": 3}, "licence is '3'"),
        ("set", {"note": ["x"]}, "note is"),
        ("set", {"titel": "x"}, "the key 'titel'; allowed: an object of name, origin"),
        ("set", {"recordings": GONE}, "recordings is missing; allowed: a list of at least one"),
        ("set", {"recordings": []}, "recordings is '[]'"),
        ("set", {"recordings": {}}, "recordings is '{}'"),
        ("set", {"recordings": ["home.csv"]}, "recording 1: '\"home.csv\"'; allowed: an object of"),
        ("home", {"file": GONE}, "file is missing"),
        ("home", {"file": "gone.csv"}, "there is none"),
        ("home", {"file": "sub"}, "there is none"),  # a folder
        ("home", {"file": "../home.csv"}, "allowed: a file beside this set.json"),
        ("home", {"file": "/etc/hostname"}, "allowed: a file beside this set.json"),
        ("home", {"file": "x" * 5000}, "there is none"),
        ("home", {"file": "./fire.csv"}, "fire.csv twice"),
        ("home", {"kind": "house"}, "kind is '\"house\"'; allowed: home or fire"),
        ("home", {"kind": GONE}, "kind is missing"),
        ("home", {"kind": ["home"]}, "allowed: home or fire"),
        ("home", {"group": GONE}, "group is missing"),
        ("home", {"group": 1}, "group is '1'"),
        ("home", {"group": "f1"}, "the group 'f1' holds a home and a fire"),
        ("home", {"cooking": []}, "the key 'cooking'; allowed: an object of file, kind"),
        ("home", {"limit_s": 1}, "the key 'limit_s'"),
        ("home", {"days": 0}, "days is '0'; allowed: a number over 0"),
        ("home", {"days": -1}, "days is '-1'"),
        ("home", {"days": True}, "days is 'true'"),
        ("home", {"days": NAN}, "NaN, which is no number in JSON"),
        ("home", {"days": float("inf")}, "Infinity, which is no number in JSON"),
        ("home", {"days": 10**400}, "days is"),
        ("home", {"cooking_s": 60}, "cooking_s is '60'; allowed: a list of [start, end]"),
        ("home", {"cooking_s": [60, 120]}, "cooking_s is '60'"),
        ("home", {"cooking_s": [[60]]}, "cooking_s is '[60]'"),
        ("home", {"cooking_s": [[60, "120"]]}, "cooking_s is '\"120\"'"),
        ("home", {"cooking_s": [[60, NAN]]}, "NaN, which is no number"),
        ("home", {"cooking_s": [[-60, 120]]}, "cooking_s is '-60'; allowed: a list of [start"),
        ("home", {"cooking_s": [[120, 60]]}, "[120, 60]'; allowed: a start that is not after"),
        ("home", {"cooking_s": [[0, 120], [60, 180]]}, "allowed: intervals in order, the next"),
        ("home", {"cooking_s": [[300, 360], [0, 60]]}, "the next from 360 s on"),
        ("fire", {"burning": GONE}, "burning is missing; allowed: flaming, smouldering, cooking"),
        ("fire", {"burning": "smoldering"}, "burning is '\"smoldering\"'"),
        ("fire", {"burning": {}}, "burning is '{}'"),
        ("fire", {"ignition_s": GONE}, "ignition_s is missing; allowed: 0 or more seconds"),
        ("fire", {"ignition_s": "18:15:40"}, "subtract the first row's time"),
        ("fire", {"sounded_s": {"photo": "2026-10-24T18:20"}}, "subtract the first row's time"),
        ("home", {"cooking_s": [["07:30", "08:00"]]}, "subtract the first row's time"),
        ("fire", {"ignition_s": GONE}, "from the first row until it burns; give a number"),
        ("fire", {"limit_s": "x"}, "until the latest alarm in time, or left out; give a number"),
        ("fire", {"limit_s": GONE, "end_s": 599}, "allowed: at or after ignition_s, 600"),
        ("fire", {"end_s": GONE}, "from the first row until scoring ends; give a number"),
        ("fire", {"limit_s": None}, "limit_s is 'null'"),
        ("fire", {"limit_s": 599}, "limit_s is '599'; allowed: at or after ignition_s, 600"),
        ("fire", {"end_s": 719}, "end_s is '719'; allowed: at or after limit_s, 720"),
        ("fire", {"end_s": "900"}, "end_s is '\"900\"'"),
        ("fire", {"sounded_s": 700}, "sounded_s is '700'; allowed: an object of photo, ionis"),
        ("fire", {"sounded_s": None}, "sounded_s is 'null'"),
        ("fire", {"sounded_s": {"smoke": 700}}, "allowed: an object of photo, ionisation, other"),
        ("fire", {"sounded_s": {"photo": None}}, "null}'; allowed: an object of photo"),
        ("fire", {"sounded_s": {"photo": 599}}, "sounded_s is '599'; allowed: alarms at or after"),
        ("home", {"sounded_s": {}}, "the key 'sounded_s'"),
    ],
)
def test_a_wrong_set_is_one_line(tmp_path: Path, which: str, change: dict, said: str) -> None:
    home, fire, about = copy.deepcopy((HOME, FIRE, {}))
    write_set(tmp_path, home, fire)
    (tmp_path / "sub").mkdir()
    {"set": about, "home": home, "fire": fire}[which].update(change)
    document = ABOUT | {"recordings": [home, fire]} | about
    kept = {k: v for k, v in document.items() if v is not GONE}
    if isinstance(kept.get("recordings"), list):
        kept["recordings"] = [
            {k: v for k, v in item.items() if v is not GONE} if isinstance(item, dict) else item
            for item in kept["recordings"]
        ]
    (tmp_path / "set.json").write_text(json.dumps(kept))
    with pytest.raises(InputError) as error:
        read_sets(tmp_path)
    assert said in str(error.value)
    assert str(error.value).startswith(str(tmp_path / "set.json"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "not JSON (Expecting value, line 1, column 1)"),
        (b"{", "not JSON"),
        (b'{"name": NaN}', "NaN, which is no number in JSON"),
        (b'{"name": -Infinity}', "-Infinity, which is no number"),
        (b"\xff{}", "not UTF-8"),
        (b"[]", "'[]'; allowed: an object of name"),
        (b"3", "'3'; allowed: an object of name"),
        (b"[" * 100_000, "not JSON that can be read"),
        (b"9" * 10_000, "not JSON that can be read"),
    ],
)
def test_what_is_no_set_at_all_is_one_line(tmp_path: Path, text: bytes, said: str) -> None:
    (tmp_path / "set.json").write_bytes(text)
    with pytest.raises(InputError) as error:
        read_sets(tmp_path)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_byte_order_mark_and_a_missing_note_are_fine(tmp_path: Path) -> None:
    write_set(tmp_path, HOME)
    document = json.loads((tmp_path / "set.json").read_text())
    del document["note"]
    (tmp_path / "set.json").write_text("\ufeff" + json.dumps(document))
    (one,) = read_sets(tmp_path)
    assert one.note == ""


def test_runs_less_than_half_an_hour_apart_are_one_session() -> None:
    runs = ((0.0, 60.0), (1859.0, 1859.0), (3659.0, 3700.0), (9000.0, 9000.0))
    assert merge_runs(runs) == ((0.0, 1859.0), (3659.0, 3700.0), (9000.0, 9000.0))
    assert merge_runs(()) == ()


@pytest.mark.parametrize(
    ("entry", "rows", "said"),
    [
        (HOME | {"cooking_s": [[0, 40_000]]}, None, "cooking_s of set.json goes beyond"),
        (
            HOME | {"days": 3.0},
            None,
            "days of set.json goes beyond the recording, which lasts 35,940 s",
        ),
        (FIRE | {"ignition_s": 5e3, "limit_s": 6e3, "end_s": 6e3}, None, "ignition_s of set.json"),
        (FIRE | {"limit_s": 5e3, "end_s": 6e3}, None, "limit_s of set.json"),
        (FIRE | {"end_s": 5e3}, None, "end_s of set.json"),
        (HOME, "time_s,temperature_c\n0,20\n0,21\n", "row 3"),
        ({**HOME, "cooking_s": []}, "time_s,temperature_c\n0,20\n", "one moment"),
        (HOME, "time_s,temperature_c\n0,\n60,\n", "no reading"),
        (HOME, "no recording\n", ""),
        (HOME, "", ""),
        (FIRE, "\x00\x01", ""),
    ],
)
def test_what_cannot_be_scored_is_named_and_the_rest_is_scored(
    tmp_path: Path, entry: dict, rows: str | None, said: str
) -> None:
    other = HOME | {"file": "other.csv", "group": "h2", "cooking_s": []}
    write_set(tmp_path, entry, other)
    if rows is not None:
        (tmp_path / entry["file"]).write_text(rows)
    (one,) = read_sets(tmp_path)
    part = score_set(NEVER, one)
    (unread,) = part["not_scored"]
    assert (unread["file"], unread["group"]) == (entry["file"], entry["group"])
    assert said in unread["reason"]
    assert "\n" not in unread["reason"]
    assert (part["recordings"], len(part["homes"]["rows"])) == (2, 1)
    table = score_table(recordings.score_real(NEVER, tmp_path, PLAN))
    assert ("set ours: not scored", "1 of 2") in [row[:2] for row in table]


# --- scoring


def test_homes_are_scored_by_group(tmp_path: Path) -> None:
    write_home(tmp_path / "home.csv", hot=(110, 130, 300))  # in the first session, after it, quiet
    again = HOME | {"file": "again.csv", "days": 0.25, "cooking_s": [[600, 600], [660, 660]]}
    silent = {"file": "silent.csv", "kind": "home", "group": "h2"}
    write_set(tmp_path, HOME, again, silent)
    (part,) = recordings.score_real(HEAT, tmp_path, PLAN)["sets"]
    homes = part["homes"]
    assert part["fires"] == NONE_SCORED
    assert (part["recordings"], part["groups"]) == (3, 2)
    assert (homes["alarms"], homes["nuisance_alarms"], homes["sessions"]) == (2, 1, 2)
    first, second, third = homes["rows"]
    assert (first["group"], second["group"], third["group"]) == ("h1", "h1", "h2")
    assert first["alarm_times_s"] == [6600.0, 18000.0]  # the one within half an hour is the same
    assert (first["sessions"], second["sessions"], third["sessions"]) == (1, 1, 0)
    assert second["days"] == pytest.approx(0.25)
    assert third["days"] == pytest.approx(599 / 1440)
    h1, h2 = homes["groups"]
    assert (h1["group"], h1["alarms"], h1["sessions"]) == ("h1", 2, 2)
    assert (h2["group"], h2["alarms"], h2["sessions"]) == ("h2", 0, 0)


def test_fires_are_measured_against_their_annotation(tmp_path: Path) -> None:
    late = FIRE | {"file": "late.csv", "limit_s": 620, "group": "f2"}
    cut = FIRE | {"file": "cut.csv", "limit_s": 610, "end_s": 630, "group": "f3"}
    write_set(tmp_path, FIRE, late, cut, FIRE | {"file": "again.csv"})
    (part,) = recordings.score_real(HEAT, tmp_path, PLAN)["sets"]
    fires = part["fires"]
    assert part["homes"] == NONE_SCORED
    assert [row["outcome"] for row in fires["rows"]] == ["in time", "late", "missed", "in time"]
    assert [row["end_s"] for row in fires["rows"]] == [900, 900, 630, 900]
    assert [row["limit_s"] for row in fires["rows"]] == [720, 620, 610, 720]
    assert [(g["group"], g["n"], g["in_time"]) for g in fires["groups"]] == [
        ("f1", 2, 2), ("f2", 1, 0), ("f3", 1, 0)]  # fmt: skip
    assert fires["in_time_share"]["lower"] < 0.05  # as of three fires, not four


def without(entry: dict, *names: str) -> dict:
    return {key: value for key, value in entry.items() if key not in names}


@pytest.mark.parametrize(("ignition_s", "is_told"), [(0, True), (9, True), (10, False)])
def test_fires_without_a_reading_before_are_told_once(
    ignition_s: float, is_told: bool, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    """No alarm is early where nothing was read before: a detector that always alarms looks good."""
    fires = [FIRE | {"file": f"{k}.csv", "ignition_s": ignition_s} for k in (0, 1)]
    before = FIRE | {"group": "f2"}
    write_set(tmp_path, HOME, *fires, before)
    alarms = detect_by(TEMPERATURE, 1.0)  # at the first row
    result = recordings.score_real(alarms, tmp_path, PLAN)
    rows = result["sets"][0]["fires"]["rows"]
    assert [row["outcome"] for row in rows] == ["in time" if is_told else "early"] * 2 + ["early"]
    row = ("set ours: fires with no reading before ignition", "2 of 3")
    row += ("an early alarm cannot be counted",)
    assert (row in score_table(result)) == is_told
    _, out, _ = command(capsys, "data", "check", tmp_path)
    line = "no reading before ignition of 2 of 3 fires: an early alarm cannot be counted"
    assert out.count("before ignition") == out.count(line) == is_told


@pytest.mark.parametrize(("seconds", "said"), [(300, "5 min"), (86_400, "1.00 days")])
def test_how_long_a_recording_is_is_told_in_minutes_or_days(
    seconds: float, said: str, tmp_path: Path
) -> None:
    rows = [f"{k * seconds / 100},21" for k in range(101)]
    write(tmp_path / "fire.csv", "time_s,temperature_c", rows)
    entry = FIRE | {"ignition_s": 20, "limit_s": 30, "end_s": 40}
    (one,) = read_sets(write_set(tmp_path, entry))
    told: list[str] = []
    score_set(NEVER, one, told.append)
    assert told[0] == f"set ours: fire, {said}"


def write_smoke(path: Path, highest_ug_m3: float) -> None:
    """A fire every 10 s that sends up smoke alone: so much more a reading, up to a meter's end."""
    smoke = [8.0] * 60 + [min(8.0 + 2000.0 * k, highest_ug_m3) for k in range(1, 61)]
    write(path, "time_s,pm25_ug_m3", [f"{10 * k},{value}" for k, value in enumerate(smoke)])


@pytest.mark.parametrize(
    ("more", "limit_s", "taken"),
    [
        ({}, 720, "readings"),  # 20 K at 690 s, and 30 s
        ({"burning": "cooking oil", "sounded_s": {"photo": 610}}, 720, "readings"),
        ({"burning": "smouldering"}, 620, "readings"),  # 5 K
        ({"end_s": 700}, 700, "readings"),  # never after the end
        ({"end_s": 680}, 680, "end"),
        ({"end_s": 680, "sounded_s": {"photo": 670, "other": 660}}, 660, "first real alarm"),
        ({"end_s": 680, "sounded_s": {"photo": 690}}, 680, "first real alarm"),
    ],
)
def test_a_limit_that_is_left_out_is_taken_by_the_rules_of_published_fires(
    more: dict, limit_s: float, taken: str, tmp_path: Path
) -> None:
    """Who had no optical density did not know what to write, and could not leave it out."""
    entry = without(FIRE | more, "limit_s")
    (one,) = read_sets(write_set(tmp_path / "a", entry))
    told: list[str] = []
    part = score_set(HEAT, one, told.append)
    (row,) = part["fires"]["rows"]
    assert row["limit_s"] == limit_s
    assert row["limit_from"] == taken
    assert told[-1] == f"set ours: fire: no limit_s; taken: {limit_s} s, by its {taken}"
    result = {"sources": {}, "sets": [part]}
    at_end = ("set ours: fires without a limit", "1 of 1", "in time if found by their end")
    assert (at_end in score_table(result)) == (taken == "end")
    _, (cells,) = set_fires_table({"us": result})
    assert cells[2] == f"{limit_s} ({taken})"
    (same,) = read_sets(write_set(tmp_path / "b", entry | {"limit_s": limit_s}))
    (given,) = score_set(HEAT, same, told.append)["fires"]["rows"]
    assert given == row | {"limit_from": "set.json"}
    assert "no limit_s" not in told[-1]
    times = dict(known_times(tmp_path / "a" / "fire.csv").times)
    assert "limit" not in times
    assert times["ignition"] == 600.0


@pytest.mark.parametrize(
    ("highest_ug_m3", "limit_s"),
    # 0.14/m is 73.3 mg/m3 of its smoke; 0.05/m, and half an hour, would be after the end
    [(1_000.0, 1190.0), (60_000.0, 1190.0), (100_000.0, 590.0 + 370.0)],
)
def test_smoke_sets_a_limit_where_the_meter_reaches_it(
    highest_ug_m3: float, limit_s: float, tmp_path: Path
) -> None:
    write_smoke(tmp_path / "fire.csv", highest_ug_m3)
    recording, _ = read_recording(tmp_path / "fire.csv")
    found = shown_limit(recording, "smouldering", ignition_s=600.0, end_s=1190.0)
    assert (found is None) == (highest_ug_m3 < 26_000.0)
    entry = without(FIRE, "limit_s") | {"burning": "smouldering", "end_s": 1190}
    (one,) = read_sets(write_set(tmp_path, entry))
    (row,) = score_set(NEVER, one)["fires"]["rows"]
    assert row["limit_s"] == limit_s


@pytest.mark.parametrize(
    ("period_s", "ignition_s", "limit_s"),
    [(300.0, 900.0, 1500.0 + 30.0), (300.0, 0.0, 1500.0 + 30.0), (10.0, 0.0, 50.0 + 30.0)],
)
def test_a_level_is_what_was_read_last_before_the_ignition(
    period_s: float, ignition_s: float, limit_s: float
) -> None:
    """Whatever the sensor's period; its first reading, where the fire began the recording."""
    readings = np.full((8, 2, len(CHANNELS)), np.nan, np.float32)
    readings[:, 1, TEMPERATURE] = [20.0, 20.0, 20.0, 20.0, 30.0, 41.0, 60.0, 20.0]
    made = Recording("r", period_s * np.arange(8), ("A", "B"), readings)
    found = shown_limit(made, "flaming", ignition_s=ignition_s, end_s=2100.0)
    assert found == limit_s


def test_real_alarms_of_a_set_stand_beside_ours(tmp_path: Path) -> None:
    """A set could not say when real alarms sounded, as published fires can."""
    write_set(tmp_path, FIRE | {"sounded_s": {"photo": 700, "ionisation": 660.5}})
    (fire,) = read_items(tmp_path)
    assert isinstance(fire, Published)
    assert (fire.references["t_photo"], fire.references["t_ion"]) == (700.0, 660.5)
    (row,) = recordings.score_real(HEAT, tmp_path, PLAN)["sets"][0]["fires"]["rows"]
    assert row["recorded_s"] == 660.5
    assert row["delay_s"] == row["alarm_s"] - 660.5
    assert dict(known_times(tmp_path / "fire.csv").times) == {
        "ignition": 600.0,
        "limit": 720.0,
        "photo alarm": 700.0,
        "ionisation alarm": 660.5,
    }


def test_a_real_alarm_beyond_the_recording_costs_that_recording(tmp_path: Path) -> None:
    (fire,) = read_items(write_set(tmp_path, FIRE | {"sounded_s": {"other": 5000}}))
    assert isinstance(fire, Unreadable)
    assert "sounded_s of set.json goes beyond" in fire.reason


def test_drift_before_the_ignition_is_no_fire(tmp_path: Path) -> None:
    write_fire(tmp_path / "fire.csv", drift=7.0)
    recording, _ = read_recording(write_set(tmp_path, FIRE) / "fire.csv")
    signal_s = first_signal_from(recording, 600.0)
    assert signal_s == pytest.approx(610.0, abs=10.0)
    early = recordings.score_real(detect_by(TEMPERATURE, 23.0), tmp_path, PLAN)["sets"][0]
    assert early["fires"]["rows"][0]["outcome"] == "early"


def test_a_fire_without_a_baseline_shows_from_its_ignition_on(tmp_path: Path) -> None:
    write_fire(tmp_path / "fire.csv", before=0)
    write_set(tmp_path, FIRE | {"ignition_s": 0, "limit_s": 60, "end_s": 300})
    (part,) = recordings.score_real(detect_by(TEMPERATURE, 22.0), tmp_path, PLAN)["sets"]
    (row,) = part["fires"]["rows"]
    assert (row["signal_s"], row["alarm_s"], row["outcome"]) == (0.0, 0.0, "in time")


def test_a_fire_that_nothing_shows_has_no_signal(tmp_path: Path) -> None:
    write_home(tmp_path / "fire.csv")
    recording, _ = read_recording(tmp_path / "fire.csv")
    assert first_signal_from(recording, 600.0) is None


def test_an_alarm_at_a_co_dose_is_right(tmp_path: Path) -> None:
    ppm = [150 if 100 <= k < 160 else 20 for k in range(300)]
    rows = [f"{60 * k},{value}" for k, value in enumerate(ppm)]
    write(tmp_path / "home.csv", "time_s,co_ppm", rows)
    recording, _ = read_recording(write_set(tmp_path, HOME) / "home.csv")
    assert co_dose_intervals(recording) == [(6000.0 + 1500.0, 9600.0)]
    # alarms at 6,000 s, too soon; counted again at 7,800 s and 9,600 s, when the dose is there
    (part,) = recordings.score_real(detect_by(CO, 100.0), tmp_path, PLAN)["sets"]
    homes = part["homes"]
    assert (homes["alarms"], homes["nuisance_alarms"], homes["co_alarms"]) == (1, 1, 1)
    assert any(row[0] == "set ours: alarms at a CO dose" for row in score_table({
        "sources": {}, "sets": [part]}))  # fmt: skip


def test_sets_stand_beside_the_published_ones(tmp_path: Path) -> None:
    write_house(tmp_path / recordings.HOUSE)
    without = recordings.score_real(HEAT, tmp_path, PLAN)
    assert without["sets"] == []
    write_set(tmp_path / "sets" / "ours", HOME, FIRE)
    result = recordings.score_real(HEAT, tmp_path, PLAN)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert {k: v for k, v in result.items() if k != "sets"} == {
        k: v for k, v in without.items() if k != "sets"
    }
    names = [row[0] for row in score_table(result)]
    assert "house fires in time" in names
    assert {"set ours: fires in time", "set ours: false alarms"} < set(names)
    alone = [row[0] for row in score_table(recordings.score_real(HEAT, tmp_path / "sets", PLAN))]
    assert all(name.startswith("set ours") for name in alone)
    assert read_superposed(tmp_path / "sets") is None  # rivals go without, and end no exam


def odd_recordings() -> dict[str, Recording]:
    """Recordings of one channel, one row, two sensors that take turns, and long silences."""
    random = np.random.default_rng(0)
    minute = np.arange(0.0, 7200.0, 60.0)
    made = {}
    for index, channel in enumerate(CHANNELS):
        readings = np.full((len(minute), 1, len(CHANNELS)), np.nan, np.float32)
        lowest, highest = channel.indoors
        readings[:, 0, index] = random.uniform(lowest, highest, len(minute))
        made[f"only_{channel.name}"] = Recording("x", minute, ("A",), readings)
    base = made["only_temperature"].readings
    made["one_row"] = Recording("x", minute[:1], ("A",), base[:1])
    made["two_rows"] = Recording("x", minute[:2], ("A",), base[:2])
    turns = np.full((len(minute), 2, len(CHANNELS)), np.nan, np.float32)
    turns[::2, 0], turns[1::2, 1] = base[::2, 0], base[1::2, 0]
    made["turns"] = Recording("x", minute, ("A", "B"), turns)
    gap = np.where(minute > 3600.0, minute + 1e6, minute)
    made["gap"] = Recording("x", gap, ("A",), base)
    return made


def test_no_recording_ends_the_command(tmp_path: Path) -> None:
    made = odd_recordings()
    for name, recording in made.items():
        write_recording(recording, tmp_path / f"{name}.csv")
        write_recording(recording, tmp_path / f"fire_{name}.parquet")
    homes = [{"file": f"{n}.csv", "kind": "home", "group": n} for n in made]
    fires = [FIRE | {"file": f"fire_{n}.parquet", "group": f"fire {n}", "ignition_s": 0,
                     "limit_s": 0, "end_s": 0} for n in made]  # fmt: skip
    write_set(tmp_path, *homes, *fires)
    folder = saved(tmp_path / "RUN")
    result = judge_real(
        judged_run(load(str(folder))), tmp_path, dense_days=1.0, on_progress=lambda _: None
    )
    (part,) = result["sets"]
    assert [item["file"] for item in part["not_scored"]] == ["one_row.csv"]
    assert len(part["homes"]["rows"]) == len(made) - 1
    assert len(part["fires"]["rows"]) == len(made)
    assert part["windows"] > 900


# --- commands, exam, report


def command(capsys: pytest.CaptureFixture, *words: object) -> tuple[int, str, str]:
    code = run(saafe_group, [str(word) for word in words])
    out, err = capsys.readouterr()
    return code, out, err


def test_evaluate_names_the_set(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # else a row goes over several lines
    folder, ours = saved(tmp_path / "RUN"), write_set(tmp_path / "ours", HOME, FIRE)
    words = ("evaluate", folder, "--real", ours, "--real-only", "--no-floor")
    code, out, err = command(capsys, *words)
    assert code == 0, err
    assert "set ours: false alarms" in out
    assert not re.search("^[a-z_]+: 0$", err, re.MULTILINE), "parts of which nothing is there"
    assert "made up" in out
    (row,) = [line for line in out.splitlines() if "ours: fire " in line]
    assert "720" in row  # the limit; each fire has a row
    assert "photo" in out
    assert "simulated in the recorded air" in out
    (ours / "set.json").write_text("{")
    code, out, err = command(capsys, *words)
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith(f"saafe: {ours}/set.json: not JSON")
    for wrong in (ours, tmp_path / "RUN"):  # said before minutes of fitting a rival
        code, out, err = command(capsys, "evaluate", folder, "--real", wrong)
        assert (code, out, err.count("\n")) == (1, "", 1), err


def test_evaluate_names_its_own_model_rules_notes_and_what_it_passes_over(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folders were passed over in silence, and a rule's alarm was taken for the model's."""
    monkeypatch.setenv("COLUMNS", "200")  # else a row goes over several lines
    write_set(tmp_path / "ours", FIRE)
    for folder, name in (("theirs", "Test_2.csv"), (".hidden", "x.csv"), ("notes", "read.me")):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / name, "Time,TC_1", ["0,21"])
    words = ("evaluate", "--real", tmp_path, "--real-only", "--rival", "fixed rule")
    code, out, err = command(capsys, *words)
    assert code == 0, err
    (passed_over,) = [line for line in err.splitlines() if "not scored" in line]
    assert passed_over.endswith("without set.json: theirs")
    assert "saafe's own" in out
    assert "exported" not in out + err
    assert "scoring saafe's own" in err
    assert out.count("set ours: made up") == 1
    (row,) = [line for line in out.splitlines() if "ours: fire" in line and "720" in line]
    assert re.search(r", \d+ \((?:heat|rate_of_rise)\)", row), row


def test_at_80_columns_a_fire_has_a_line_a_detector_and_no_line_is_wider(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ "fixed rule in time, 30, limit 60, heat 40, co 200" took reference alarms for its own."""
    monkeypatch.setenv("COLUMNS", "80")
    write_set(tmp_path, FIRE | {"sounded_s": {"photo": 700}}, note="long " * 40)
    words = ("evaluate", "--real", tmp_path, "--real-only", "--rival", "fixed rule")
    code, out, err = command(capsys, *words)
    assert code == 0, err
    lines = out.splitlines()
    assert max(map(len, lines)) <= 80
    fire = lines[lines.index("ours: fire") + 1 :][:4]
    shapes = [r"  saafe's own in time, \d+", r"  fixed rule in time, \d+ \(\w+\)",
              r"  limit 720, real alarm 700", r"  reference alarms: heat \d+"]  # fmt: skip
    assert all(re.fullmatch(*pair) for pair in zip(shapes, fire, strict=True)), fire
    code, out, err = command(capsys, "data", "check", tmp_path)
    short = [line for line in out.splitlines() if str(tmp_path) not in line]  # a path is a word
    assert max(map(len, short)) <= 80


def test_the_folders_of_a_set_are_not_passed_over(tmp_path: Path) -> None:
    ours = tmp_path / "ours"
    (ours / "deep").mkdir(parents=True)
    write_set(ours, FIRE | {"file": "deep/fire.csv"})
    assert recordings.unknown_folders(ours) == []
    assert recordings.unknown_folders(tmp_path) == []


def test_evaluate_says_what_is_doubtful_about_recordings(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wrong unit or a column that is not read shows in no figure."""
    monkeypatch.setenv("COLUMNS", "200")  # else a line goes over several
    folder, ours = saved(tmp_path / "RUN"), tmp_path / "ours"
    ours.mkdir()
    rows = [f"{60 * k},{71 + k % 3},{-1 if k == 5 else 8 + k % 4},600" for k in range(600)]
    write(ours / "home.csv", "time_s,temperature_c,pm25_ug_m3,CO2", rows)
    write_set(ours, HOME)
    told = [
        "pm25: 1 masked as no reading: -1 is a driver's for no value of 600",
        "temperature looks like degF",
        "column CO2 is ignored; if it is co2, saafe data import reads it",
    ]
    words = ("evaluate", folder, "--real", ours, "--real-only", "--rival", "fixed rule")
    code, _, err = command(capsys, *words)
    assert code == 0, err
    assert "scoring fixed rule" in err
    # once, not once a contestant
    assert all(err.count(f"set ours: home: {line}") == 1 for line in told), err
    every = tmp_path / "*" / "*.csv"  # a pattern in quotes, as detect takes it
    code, out, err = command(capsys, "evaluate", folder, every, "--real-only", "--no-floor")
    assert (code, len(re.findall(r"^ *home ", out, re.MULTILINE))) == (0, 1)
    assert all(f"{ours / 'home.csv'}: {line}" in err for line in told), err
    write(tmp_path / "semi.csv", "time_s;temperature_c", ["0;20", "60;21"])
    code, out, err = command(capsys, "evaluate", folder, tmp_path / "semi.csv", "--no-floor")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "this reads it: saafe data import" in err
    (ours / "set.json").unlink()
    code, out, err = command(capsys, "evaluate", folder, "--real", ours)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "say in a set.json what its recordings are" in err


def test_the_exam_holds_sets_without_gating_them(tmp_path: Path) -> None:
    ours = write_set(tmp_path / "ours", HOME, FIRE)
    here = Session(judged_run(load(str(saved(tmp_path / "RUN")))), 0)
    told: list[str] = []
    part = exam.real_part(here, exam.ExamOptions(real=ours, on_progress=told.append))
    assert not any("not scored" in line for line in told)
    (tmp_path / "theirs").mkdir()
    write(tmp_path / "theirs" / "Test_2.csv", "Time,TC_1", ["0,21"])
    exam.real_part(here, exam.ExamOptions(real=tmp_path, on_progress=told.append))
    assert any(line.endswith("without set.json: theirs") for line in told)
    assert here.windows == 0  # the exam's own; a set says its own
    assert part["sets"][0]["windows"] > 0
    assert "scored" not in part["sources"].values()  # hence no lines in the gate
    page = report.page(tmp_path, {"recordings": part}, [])
    assert "<h3>Set ours</h3>" in page
    assert "made up" in page
    assert page.count("false alarms per day") == 1


def test_data_check_looks_at_a_set(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    ours = write_set(tmp_path / "ours", HOME, FIRE)
    code, out, _ = command(capsys, "data", "check", ours)
    assert code == 0
    assert "ours, 2 recordings" in out
    assert "home, group h1" in out
    write_home(ours / "home.csv", minutes=10)
    code, out, err = command(capsys, "data", "check", ours, "--json")
    assert code == 1
    found = json.loads(out)
    assert (len(found["checks"]), len(found["failed"])) == (1, 1)
    assert "cooking_s of set.json goes beyond" in err
    code, _, err = command(capsys, "data", "check", ours, "--repair")
    assert code == 1
    assert "a set is read as it is" in err


def test_the_example_of_the_docs_is_a_set(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "recordings.md").read_text()
    (example,) = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    week = np.arange(0.0, 7 * 86400.0, 60.0)
    readings = np.full((len(week), 1, len(CHANNELS)), np.nan, np.float32)
    readings[:, 0, TEMPERATURE] = 20.0
    for entry in json.loads(example)["recordings"]:
        write_recording(Recording("x", week, ("A",), readings), tmp_path / entry["file"])
    (tmp_path / "set.json").write_text(example)
    items = read_items(tmp_path)
    assert all(isinstance(item, Published) for item in items)
    assert [item.group for item in items] == ["flat 1", "flat 1", "flat 2", "bin fire"]


# --- the real ones


@pytest.mark.real
@pytest.mark.skipif(not (REAL / "sets").is_dir(), reason=f"no annotated sets in {REAL}")
def test_the_real_sets_are_what_the_readme_says() -> None:
    sets = {one.name: one for one in read_sets(REAL)}
    counts = {name: (len(one.recordings), len({a.group for a in one.recordings}))
              for name, one in sets.items()}  # fmt: skip
    assert counts == {
        "fsri_single_storey": (5, 3), "gym_room": (2, 1), "hyderabad_homes": (14, 3),
        "nepal_kitchens_co": (20, 20), "olive_rooms": (10, 10), "quito_kitchens": (22, 12),
        "zagreb_room": (1, 1),
    }  # fmt: skip
    assert sum(len(a.cooking_s) for a in sets["quito_kitchens"].recordings) == 189
    parts = {name: score_set(NEVER, one) for name, one in sets.items()}
    assert all(part["not_scored"] == [] for part in parts.values())
    assert parts["quito_kitchens"]["homes"]["sessions"] == 153
    assert parts["zagreb_room"]["homes"]["days"] == pytest.approx(19.665)
    for name in ("olive_rooms", "fsri_single_storey"):
        fires = parts[name]["fires"]
        assert fires["missed"] == fires["n"]
        for row in fires["rows"]:
            assert row["signal_s"] <= row["limit_s"] <= row["end_s"]

"""A zone that is not the clock's is told by the hour at which clocks change."""

from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from saafe.errors import InputError
from saafe.readers.clock_changes import USUAL_ZONES
from saafe.readers.export_hints import import_hint, read_recorded
from saafe.readers.exports import import_recording

CHANGES = {  # a few hours before the clocks of a zone change: in autumn, in spring [UTC]
    "Europe/Berlin": (datetime(2026, 10, 24, 20), datetime(2026, 3, 28, 20)),
    "Europe/London": (datetime(2026, 10, 24, 20), datetime(2026, 3, 28, 20)),
    "America/New_York": (datetime(2026, 11, 1, 1), datetime(2026, 3, 8, 2)),
    "Australia/Sydney": (datetime(2026, 4, 4, 11), datetime(2026, 10, 3, 11)),
}
AUTUMN, SPRING = 0, 1


def export(folder: Path, zone: str, start: datetime, *, step_s: int = 60, rooms: int = 2) -> Path:
    """Ten hours by the clock of a zone, without offset."""
    utc = start.replace(tzinfo=ZoneInfo("UTC"))
    lines = ["Zeit;room;temp (C)"]
    for k in range(36_000 // step_s):
        local = (utc + timedelta(seconds=k * step_s)).astimezone(ZoneInfo(zone))
        lines += [f"{local:%d.%m.%Y %H:%M:%S};room {n};2{n}.{k % 10}" for n in range(rooms)]
    path = folder / "export.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def doubts(path: Path, zone: str | None) -> list[str]:
    """Notes that doubt the zone."""
    notes = import_recording(path, zone=zone)[1].notes
    return [note for note in notes if "as clocks change" in note]


@pytest.mark.parametrize("step_s", [10, 60, 600])
@pytest.mark.parametrize("season", [AUTUMN, SPRING])
@pytest.mark.parametrize("zone", CHANGES)
@pytest.mark.parametrize("given", ["UTC", "Europe/London", "Europe/Berlin", "Asia/Kolkata"])
def test_a_wrong_zone_is_told(zone: str, season: int, step_s: int, given: str, tmp_path: Path):
    """It was repaired in silence: an hour put somewhere else, or a gap that was none."""
    path = export(tmp_path, zone, CHANGES[zone][season], step_s=step_s)
    found = doubts(path, given)
    if given == zone:
        assert found == []
        return
    (said,) = found
    assert f'zone="{given}" looks wrong, try zone="' in said
    better = said.rpartition("zone=")[2].strip('"')
    assert better in set(USUAL_ZONES) - {given}
    if given == "UTC":  # no row is lost by it
        tried = import_recording(path, zone=better)[0]
        assert tried.start == import_recording(path, zone=zone)[0].start


@pytest.mark.parametrize("zone", CHANGES)
def test_in_spring_a_zone_is_asked_for_where_none_is_given(zone: str, tmp_path: Path):
    (said,) = doubts(export(tmp_path, zone, CHANGES[zone][SPRING]), None)
    assert 'name its zone, such as zone="' in said


@pytest.mark.parametrize("zone", CHANGES)
def test_the_hint_names_a_zone_where_clocks_fall_back(zone: str, tmp_path: Path):
    """`data check` and `detect` said nothing of `data import`: without a zone it is refused."""
    path = export(tmp_path, zone, CHANGES[zone][AUTUMN])
    hint = import_hint(path)
    assert hint is not None
    assert doubts(path, hint.rpartition("--zone ")[2]) == []
    with pytest.raises(InputError, match="stands for the time zone of its clock") as refused:
        read_recorded(path)
    assert hint in str(refused.value)


QUIET = {
    "an hour's gap on a Sunday afternoon": [(13, 0), (15, 1)],
    "half an hour's gap at night": [(0, 30), (1, 0)],
    "three hours' gap at night": [(0, 0), (3, 0)],
}


@pytest.mark.parametrize("name", QUIET)
def test_other_gaps_say_nothing_of_the_zone(name: str, tmp_path: Path):
    (from_h, from_m), (to_h, to_m) = QUIET[name]
    gap = from_h * 60 + from_m, to_h * 60 + to_m
    times = [m for m in range(24 * 60) if not gap[0] < m < gap[1]]
    lines = [f"2026-03-29 {m // 60:02}:{m % 60:02}:00;20.{m % 10}" for m in times]
    path = tmp_path / "export.csv"
    path.write_text("\n".join(["Zeit;temp", *lines]) + "\n")
    assert doubts(path, None) == doubts(path, "UTC") == []

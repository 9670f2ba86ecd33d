"""The report and the model card: whole, self-contained, escaped, whatever the exam lacks."""

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from saafe.detector.alarms import AlarmSettings, log_odds
from saafe.errors import InputError
from saafe.exam import html, model_card, plots, report, room_lines
from saafe.exam.gate import line_texts
from saafe.recipes import changed, find_tier
from saafe.sensors import CHANNELS
from saafe.training import for_device, runs
from saafe.training.model import FireTransformer
from tests.test_room_lines import result_of

GATE = {
    "level": "full",
    "device": "saafe-6",
    "passed": False,
    "lines": [
        {"name": "accuracy", "value": 0.8, "lower": 0.79, "upper": 0.81, "limit": 0.94,
         "n": 8192, "status": "fail", "required": "quick"},
        {"name": "in_time", "value": 0.995, "lower": 0.98, "upper": 1.0,
         "limit": 0.99, "n": 300, "status": "not_shown", "required": "full"},
        {"name": "latency_p99_ms", "value": None, "lower": None, "upper": None, "limit": 30.0,
         "n": 0, "status": "not_shown", "required": "quick"},
    ],
}  # fmt: skip
NASTY = "<script>alert('x')</script>&\""
SUPERPOSED = {
    "n": 96, "in_time": 56, "late": 40, "early": 0, "missed": 0, "in_time_with_hold": 60,
    "in_time_share": {"value": 0.58, "lower": 0.47, "upper": 0.68}, "not_in_time": [],
    "rows": [{"name": "SDC01 on 1", "outcome": "in time"}],
}  # fmt: skip
FULL = {
    "version": "2",
    "level": "full",
    "device": "saafe-6",
    "seed": 0,
    "gate": GATE,
    "windows_scored": 1_500_000,
    "seconds": 812.4,
    "provenance": {"commit": "abc", "recipe": {"tier": "tiny"}, "data": {NASTY: "sha"}},
    "fires": [
        {"fire": NASTY, "n": 30, "in_time": 28, "late": 1, "early": 0, "missed": 1,
         "in_time_share": 28 / 30, "in_time_lower": 0.78, "in_time_upper": 0.99,
         "after_shown_median_s": 61.0, "after_shown_p90_s": 400.0,
         "after_heat_median_s": -200.0, "after_heat_p90_s": None},
        {"fire": "all", "n": 30, "in_time": 28, "after_shown_median_s": None,
         "after_shown_p90_s": None},
    ],
    "notice": [{"notice_from_s": 900.0, "notice_below_s": None, "n": 9, "in_time": 8, "late": 1,
                "early": 0, "missed": 0, "in_time_share": 0.9, "in_time_lower": 0.5,
                "in_time_upper": 1.0}],
    "against_reference_alarms": {"not_later_than_best": {"at_1": {"n": 9, "value": 0.9}}},
    "egress": {"fire_room": {"n": 9, "value": 30.0}},
    "nuisance_ratio": {"at_1": {"n": 9, "value": 0.2}},
    "nuisances": [{"nuisance": "frying", "events": 30, "alarms": 1, "lower": 0.0, "upper": 0.1}],
    "life": {"kitchen": {"alarms_per_year": 1.2, "status": "fail"}, "strata": [
        {"stratum": "frying", "per_year": 300.0, "rate_source": "assumed"}]},
    "faults": [{"fault": "dead", "channel": "co", "points_lost": 2.0}],
    "fault_watch": {
        "false_faults": {"per_month": 0.2}, "faults_said_within_60s": [{"fault": "stuck"}],
    },
    "cases": [{"kind": "miss", "title": "drawn already"}],
    "shift": [{"rooms": "large", "found": 3}],
    "calibration": {
        "mix": {"normal": 0.5, "nuisance": 0.3, "fire": 0.2},
        "in_distribution": {"ece": 0.02, "ece_lower": 0.01, "ece_upper": 0.03, "goal": 0.01,
                            "status": "fail", "table": [{"low": 0.0, "high": 0.1, "n": 9,
                            "weight": 9.0, "predicted": 0.03, "observed": 0.1}]},
    },
    "ramps": {"pairs": 10, "fell": 1, "share": 0.1, "rows": [{"ramp": "co", "fell": 1}],
              "worst": {"channel": "co", "unit": "ppm", "amplitude": 7.0, "over_s": 90.0,
                        "risk_before": 50.0, "risk_after": 20.0, "fall_points": 30.0,
                        "times_s": [-10.0, 0.0], "before": [None, 1.0], "after": [None, 8.0]}},
    "recordings": {"house_fires": {"n": 12, "rows": [{"name": "SDC01"}]}, "oil_pans": "absent"},
    "superposed_fires": SUPERPOSED,
    "superposed_fires_growing": SUPERPOSED | {"in_time": 90, "early": 6},
    "identity": {"means": "Where it beats chance <b>", "windows": 90, "rows": [
        {"sources": "homes", "windows": 40, "right_share": 0.8, "right_lower": 0.75,
         "right_upper": 0.84, "chance_share": 0.3, "told_apart": True, "confusion": [[1, 2]]}]},
    "rivals": {
        "rows": [{"name": "transformer", "in_time": 90, "own_in_time": 90, "fires": 100,
                  "own_false_alarms_per_year": 2.0},
                 {"name": "QUANT", "verdict": "loss", "in_time": 95, "own_in_time": 96,
                  "fires": 100, "own_false_alarms_per_year": 4.0,
                  "in_time_difference_value": -0.1, "in_time_difference_lower": -0.2,
                  "in_time_difference_upper": -0.01}],
        "curves": {name: [{"shift": 0.0, "in_time_share": 0.9, "false_alarms_per_year": 2.0}]
                   for name in ("transformer", "QUANT")},
        "reference_alarms": [{"name": "photo", "sensitivity": 1.0, "in_time_share": 0.5,
                              "false_alarms_per_year": 20.0}],
    },
}  # fmt: skip


def case(kind: str, missing: tuple[int, ...] = ()) -> dict:
    times = np.arange(0.0, 600.0, 10.0)
    readings = np.random.default_rng(0).normal(20.0, 1.0, (60, len(CHANNELS))).astype(np.float32)
    readings[:, list(missing)] = np.nan
    return {
        "kind": kind, "title": f"{kind} {NASTY}", "times_s": times, "readings": readings,
        "risk": np.linspace(0.0, 99.0, 60), "alarm_s": None if kind == "miss" else 300.0,
        "limit_s": 400.0 if kind == "miss" else None, "first_signal_s": None,
    }  # fmt: skip


class Outline(HTMLParser):
    """Tags that are opened and not closed, headings, and what the page would load."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)
        self.loads += [v for k, v in attrs if k in ("src", "href") and v]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("run")
    cases = [case("miss"), case("early", (0, 3)), case("false alarm", (0, 1, 2, 3, 4, 5))]
    return report.write_report(folder / "report.html", FULL, cases).read_text()


def test_page_is_whole_and_loads_nothing_from_elsewhere(full: str) -> None:
    outline = Outline(full)
    assert outline.open == []
    assert "script" not in outline.tags
    pictures = [x for x in outline.loads if not x.startswith("#")]
    assert len(pictures) == 8  # curves, gate, times to alarm, three cases, reliability, ramp
    assert all(x.startswith("data:image/svg+xml;base64,") for x in pictures)
    assert "@import" not in full
    assert "url(" not in full


def test_text_of_others_is_escaped(full: str) -> None:
    assert NASTY not in full
    assert "&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt;&amp;&quot;" in full


LOST = (
    "Finds 90.0% of 100 simulated fires in time, with 2 false alarms a year; a photoelectric "
    "alarm in the same air 50.0% and 20. At equal false alarms the transformer loses to QUANT."
)


def test_the_device_the_verdict_and_the_gate_come_first(full: str) -> None:
    said = re.findall(r'<p class="lead[a-z_ ]*">(.*?)</p>', full)
    assert said[0] == "Device: <b>saafe-6</b>"
    assert said[1] == LOST
    assert said[2].startswith("<b>FAIL</b>, full gate: 0 of 3 lines pass, 1 fail, 2 not shown.")


def test_the_gates_figures_are_those_of_the_terminal_and_the_card(full: str) -> None:
    for line in GATE["lines"]:
        value, bounds, limit, n, status = line_texts(line)
        row = [html.header(line["name"]), value, bounds, limit, n]
        cells = "".join(f"<td>{text}</td>" for text in row)
        assert f'<tr>{cells}<td class="status {line["status"]}">{status}</td>' in full
    assert "<td>80 %</td><td>79 to 81 %</td><td>94 %</td>" in full


def test_every_section_is_there(full: str) -> None:
    titles = re.findall(r"<h2[^>]*>(.*?)</h2>", full)
    assert titles == [
        "Gate", "Rivals", "Fires", "Fires by notice", "Against the reference alarms",
        "Time to get out", "Nuisances", "Nuisance alarms over the photoelectric alarm&#x27;s",
        "Life: false alarms a year", "Worst cases",
        "Calibration", "Ramps", "Faults", "Shift", "Recordings", "Superposed fires",
        "Identity", "Limits of the evidence", "Provenance",
    ]  # fmt: skip
    cases = re.findall(r"<h3[^>]*>(Smoke .*?)</h3>", full)
    assert cases == ["Smoke as a step (worst case)", "Smoke growing (best case)"]
    assert "not a listed device" in full
    assert "<td>stuck</td>" in full
    assert "drawn already" not in full


@pytest.mark.parametrize("key", [None, "gate", "fires", "rivals", "nuisances", "provenance"])
def test_page_lives_without_any_part(key: str | None, tmp_path: Path) -> None:
    result = {k: v for k, v in FULL.items() if k not in (key, "calibration", "ramps")}
    if key is None:
        result = {}
    page = report.page(tmp_path, result, [])
    assert Outline(page).open == []
    if key is None:
        assert "Not examined: gate, rivals, fires" in page
    if key == "nuisances":
        assert "Not examined: nuisances, calibration, ramps." in page


def test_the_terminal_says_it_first_too_and_tables_the_rivals(capsys) -> None:
    from saafe.cli.exam import show_exam

    life = dict.fromkeys(("quiet", "kitchen", "other"), FULL["life"]["kitchen"])
    show_exam(FULL | {"gate": GATE | {"level": "full"}, "life": life, "windows_limit": 1_500_000})
    told = capsys.readouterr().out
    assert told.startswith(LOST)
    table = told[told.index("rivals at equal false alarms") :]
    assert table.index("QUANT") < table.index("accuracy")


def test_rates_are_said_to_be_assumed(full: str) -> None:
    assert "<td>300</td><td>assumed</td>" in full
    assert "guess and no measurement" in full


def test_identity_is_told_with_bounds_and_meaning() -> None:
    section = report.identity(FULL)
    assert "Where it beats chance &lt;b&gt;" in section
    assert "<td>75 to 84 %</td><td>30 %</td><td>yes</td>" in section
    assert "confusion" not in section
    assert report.identity({"identity": "not examined: <i>"}) == "<p>not examined: &lt;i&gt;</p>"
    assert report.identity({"identity": {}}) == ""


def test_rivals_are_tabled_with_bounds() -> None:
    brief = report.rivals(FULL).split("<details>")[0]
    assert '<td class="status fail">loss</td>' in brief
    assert "<td>-0.2 to -0.01</td>" in brief


def test_no_more_than_ten_cases_a_side() -> None:
    missed, false = (case(kind, (0, 1, 2, 3, 5)) for kind in ("miss", "false alarm"))
    page = report.worst_cases([missed] * 12 + [false] * 11)
    assert page.count("<figure>") == 20


def test_same_case_gives_the_same_bytes() -> None:
    assert plots.draw_case(case("miss")) == plots.draw_case(case("miss"))


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("after_photo_median_s", "after photo median [s]"),
        ("delay_s_median", "delay median [s]"),
        ("in_time", "in time"),
        ("latency_p99_ms", "latency 99 % [ms]"),
        ("roc_auc", "ROC AUC"),
        ("model_bytes", "model [bytes]"),
        ("n", "n"),
    ],
)
def test_headers(key: str, expected: str) -> None:
    assert html.header(key) == expected


@pytest.mark.parametrize(
    ("value", "percent", "expected"),
    [
        (None, False, "-"), (math.nan, True, "-"), (True, False, "yes"), (0.12345, False, "0.1235"),
        (0.12345, True, "12.3 %"), (-0.0, False, "0"), (1234567, False, "1,234,567"),
        ([1, "a"], False, "1, a"),
    ],
)  # fmt: skip
def test_figures(value: object, percent: bool, expected: str) -> None:
    assert html.figure_text(value, percent=percent) == expected


def test_bounds_stand_side_by_side() -> None:
    row = {"n": 3, "found_share": 0.5, "found_lower": 0.1, "found_upper": 0.9, "lower": 1.0}
    merged = html.merged_bounds(row)
    assert merged == {
        "n": 3, "found_share": 0.5, "found_95_%_bounds": "10 to 90 %", "lower": 1.0,
    }  # fmt: skip


# --- the model card ---------------------------------------------------------------------------


def test_lines_of_a_device_file_are_kept_and_escaped() -> None:
    page = html.render({"recipe": {"device_file": 'title = "<b>"\n[channels.co2]\n'}})
    assert "<pre>title = &quot;&lt;b&gt;&quot;\n[channels.co2]\n</pre>" in page


def test_card_says_what_it_is_and_what_it_is_not(tmp_path: Path) -> None:
    recipe = changed(find_tier("tiny"), ("width=16", "heads=2", "layers=1"))
    runs.save_model(tmp_path, recipe, FireTransformer(recipe), AlarmSettings())
    text = model_card.write_model_card(runs.load(tmp_path), FULL).read_text()
    for part in ("Intended use", "Training data", "Figures", "Risk and thresholds", "Limits"):
        assert f"## {part}\n" in text
    assert "not a listed device" in text
    assert "loses to QUANT" in text
    assert "| accuracy | 80 % | 79 to 81 % | 94 % | 8,192 | fail |" in text
    assert runs.sha256(tmp_path / runs.MODEL) in text
    assert f"tier {recipe.tier}, seed" in text
    assert model_card.write_model_card(runs.load(tmp_path), {}).read_text().count("## ") >= 5


@pytest.mark.parametrize(
    ("device", "is_tuned", "title"),
    [
        (None, False, "saafe tiny, for sensors of any kind"),
        ("airgradient-one", False, "saafe tiny, for AirGradient ONE (I-9PSL)"),
        (None, True, "saafe tiny, for sensors of any kind, tuned on recordings of rooms"),
    ],
)
def test_card_is_titled_by_the_model_and_not_by_a_folder(
    device: str | None, is_tuned: bool, title: str, tmp_path: Path
) -> None:
    """It was "Model card: s0"."""
    recipe = changed(find_tier("tiny"), ("width=16", "heads=2", "layers=1"))
    recipe = for_device(recipe, device)
    (tmp_path / "s0").mkdir()
    runs.save_model(tmp_path / "s0", recipe, FireTransformer(recipe), AlarmSettings())
    if is_tuned:
        (tmp_path / "s0" / runs.ASKED_FILE).write_text("{}")
    text = model_card.write_model_card(runs.load(tmp_path / "s0"), FULL).read_text()
    assert text.splitlines()[0] == f"# Model card: {title}"
    assert "\n- Folder of the run: `s0`\n" in text


@pytest.mark.parametrize("fast", [5.0, 7.25])
def test_card_has_the_thresholds_that_were_examined_beside_the_runs_own(
    fast: float, tmp_path: Path
) -> None:
    recipe = changed(find_tier("tiny"), ("width=16", "heads=2", "layers=1"))
    own = AlarmSettings(fast=5.0)
    runs.save_model(tmp_path, recipe, FireTransformer(recipe), own)
    used = {"alarms": replace(own, fast=fast).to_dict()}
    found = FULL | {"device": "saafe-6", "provenance": used}
    text = model_card.write_model_card(runs.load(tmp_path), found).read_text()
    if fast == own.fast:
        assert "| setting | log-odds or s |\n|---|---|\n| fast | 5 |\n" in text
    else:
        rows = "| setting | log-odds or s | on saafe-6, as examined |\n|---|---|---|\n"
        assert f"{rows}| fast | 5 | 7.25 |\n" in text


def test_card_says_which_device_and_whether_recordings_trained_it(tmp_path: Path) -> None:
    recipe = changed(find_tier("tiny"), ("width=16", "heads=2", "layers=1"))
    recipe = for_device(recipe, "airgradient-one")
    runs.save_model(tmp_path, recipe, FireTransformer(recipe), AlarmSettings())
    text = model_card.write_model_card(runs.load(tmp_path), FULL).read_text()
    assert "sensors of one device (AirGradient ONE (I-9PSL))" in text
    assert "No recording trained" in text
    (tmp_path / runs.ASKED_FILE).write_text("{}")  # as `saafe tune` does
    text = model_card.write_model_card(runs.load(tmp_path), FULL).read_text()
    assert "No recording trained" not in text
    assert "recordings of the rooms that it was tuned on" in text


@pytest.mark.parametrize("prior", [0.5, 0.2, 0.01, 1e-6])
def test_shift_to_another_prior_is_bayes_rule(prior: float) -> None:
    ratio = 7.0  # of the likelihoods of one window, fire to no fire

    def posterior(share: float) -> float:
        return ratio * share / (ratio * share + 1.0 - share)

    shifted = log_odds(100.0 * posterior(0.2)) + model_card.prior_shift(prior)
    assert shifted == pytest.approx(log_odds(100.0 * posterior(prior)), abs=1e-9)


# --- a tuned run's rooms ----------------------------------------------------------------------


def test_report_and_card_of_a_tuned_run_say_what_held_out_days_say(tmp_path: Path) -> None:
    recipe = changed(find_tier("tiny"), ("width=16", "heads=2", "layers=1"))
    runs.save_model(tmp_path, recipe, FireTransformer(recipe), AlarmSettings())
    assert "Your rooms" not in report.page(tmp_path, FULL, [])
    found = result_of(alarms=1, sessions=50)
    found["recordings"]["left_out"] = [{"file": NASTY, "reason": "a fire"}]
    (tmp_path / room_lines.ROOMS_FILE).write_text(json.dumps(found))
    page = report.page(tmp_path, FULL, [])
    card = model_card.write_model_card(runs.load(tmp_path), FULL).read_text()
    assert "<script>" not in page
    assert page.index("Your rooms</h2>") < page.index("Gate</h2>")
    for line in room_lines.sentences(found):
        assert html.escape(line) in page
        assert line in card
    for row in (*room_lines.figure_rows(found), *room_lines.kind_rows(found)):
        assert f"| {' | '.join(row)} |" in card
        assert "".join(f"<td>{html.escape(text)}</td>" for text in row) in page


def test_what_an_older_tuning_left_is_shown_without_a_verdict(tmp_path: Path) -> None:
    found = {name: part for name, part in result_of().items() if name != "compared"}
    (tmp_path / room_lines.ROOMS_FILE).write_text(json.dumps(found))
    page = report.page(tmp_path, FULL, [])
    assert "simulated fires in time, of 3" in page
    assert "Chance alone" not in page


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"homes": 3}', "null"])
def test_damaged_figures_of_rooms_are_one_line(text: str, tmp_path: Path) -> None:
    (tmp_path / room_lines.ROOMS_FILE).write_text(text)
    with pytest.raises(InputError, match="is not what `saafe tune` writes; tune again"):
        report.page(tmp_path, FULL, [])

"""Tables at any width: a name or an amount is whole, or there is no table."""

import re

import pytest

from saafe.cli.tables import print_gate, print_rows, print_verdict
from saafe.cloud import JobPlan, load_prices, offers

COMPARED = [
    "figure",
    *("ultra-fast", "standard", "local", "original ultra-fast", "original standard"),
]
LATENCY = "latency of one window, 99th percentile [ms]"


@pytest.mark.parametrize("width", [*range(30, 90, 5), 120, 200])
def test_no_word_is_cut(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    prices = offers(JobPlan("ultra-fast"), load_prices(), [])
    columns = ["instance", "gpus", "gpu", "usd_per_hour", "cost_usd"]
    rows = [[row[name] for name in columns] for row in prices]
    print_rows(None, columns, rows)
    cells = [
        "1,010.0 (estimate)",
        "30.0 (measured)",
        None,
        "1800 to 2700 (claim)",
        "0.9400 (claim)",
    ]
    print_rows("tiers compared", COMPARED, [[LATENCY, *cells], ["device", "cpu", *cells[1:]]])
    out = capsys.readouterr().out
    assert "…" not in out
    told = [str(cell) for row in [*rows, cells] for cell in row if cell is not None]
    whole = {word.rstrip(",") for word in out.split()}
    assert {word for text in told for word in text.split()} <= whole
    assert max(map(len, out.splitlines())) <= max(width, len(LATENCY))


@pytest.mark.parametrize("width", range(60, 120))
def test_no_header_is_cut_beside_cells_of_words(width, monkeypatch, capsys):
    """At 80 columns "transformer" was "transfo…": rich narrows what holds words below a word."""
    monkeypatch.setenv("COLUMNS", str(width))
    columns = ["fire", "transformer", "limit", "real alarm", "photo", "ionisation", "heat", "co"]
    print_rows("fires", columns, [["our_lab: bin", "in time, 980", *["1,000"] * 6]])
    out = capsys.readouterr().out
    assert "…" not in out
    assert "transformer" in out


def test_an_ellipsis_of_ones_own_is_no_cut(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    print_rows(None, ["a", "b"], [["x…", "y"]])
    assert "b y" not in capsys.readouterr().out  # as lines would have it


def test_a_narrow_terminal_gets_lines(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    columns = ["job", "on", "instance", "billed_seconds", "cost_usd"]
    rows = [["saafe-x", "emulator", "ml.g5.12xlarge", 300, "0.7090"]]
    print_rows(None, columns, [*rows, ["saafe-y", "emulator", None, None, None]])
    assert capsys.readouterr().out.splitlines() == [
        "saafe-x",
        "  on emulator, instance ml.g5.12xlarge,",
        "  billed_seconds 300, cost_usd 0.7090",
        "saafe-y",
        "  on emulator",
    ]


GATE_LINES = [  # name, value, lower, upper, limit, n, status
    ("accuracy", 0.8808, 0.8631, 0.8969, 0.94, 1476, "fail"),
    ("false_alarm_rate_windows", 0.001016, 2.573e-05, 0.005649, 0.002, 984, "pass"),
    ("model_bytes", 478864.0, 478864.0, 478864.0, 15_000_000.0, 1, "pass"),
    ("nuisance_per_100_cookings", 0.000034, 0.00001, 2.7, 1.0, 300, "pass"),
]
NAMES = ("name", "value", "lower", "upper", "limit", "n", "status")
QUICK = {"level": "quick", "device": "fitted", "passed": False,
         "lines": [dict(zip(NAMES, line, strict=True)) for line in GATE_LINES]}  # fmt: skip


@pytest.mark.parametrize("width", [*range(40, 100, 4), 200])
def test_an_amount_of_the_gate_stands_on_one_line_without_an_exponent(width, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", str(width))
    print_gate(QUICK)
    out = capsys.readouterr().out
    for amount in ("88.1 %", "86.3 to 89.7 %", "0.00257 to 0.565 %", "0.00001 to 2.7",
                   "0.2 %", "478,864", "0.000034"):  # fmt: skip
        assert amount in out
    assert not re.search(r"\de[-+]\d", out)
    assert max(map(len, out.splitlines())) <= width
    assert "bounds ," not in out


@pytest.mark.parametrize(
    ("gate", "line"),
    [
        (QUICK | {"passed": True}, "The quick gate passes on fitted."),
        (QUICK, "The quick gate FAILS on fitted: accuracy. Look before you rely on this detector."),
        (QUICK | {"level": "full", "lines": 4 * QUICK["lines"]},
         "The full gate FAILS on fitted: 4 of 16 lines do not pass. Look before you rely on this "
         "detector."),
    ],
)  # fmt: skip
def test_the_verdict_is_a_line(gate: dict, line: str, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "200")
    print_verdict(gate)
    assert capsys.readouterr().out == line + "\n"
    monkeypatch.setenv("COLUMNS", "40")
    print_verdict(gate)
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 40


def test_the_quick_gate_is_a_table_at_80_columns(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    print_gate(QUICK | {"lines": QUICK["lines"][:3]})
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5, "a title, a header, and a line a figure"

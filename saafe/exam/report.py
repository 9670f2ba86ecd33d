"""report.html: what an exam found, on one page that opens offline."""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from saafe.exam import html, plots, room_lines
from saafe.exam.gate import line_texts
from saafe.exam.html import escape, html_table, render
from saafe.exam.rivals import headline, who
from saafe.exam.tables import SUPERPOSED_CASES
from saafe.files import read_file, write_atomically
from saafe.metrics import FAIL, NOT_SHOWN, PASS
from saafe.training import runs

GATE_COLUMNS = ("value", "95_%_bounds", "limit", "n", "status")  # as `line_texts` has them
MOST_CASES = 10  # of each side: fires missed, late or early; false alarms
NAMED_NOT_LISTED = (
    "Simulated scenarios are named after standard tests; they are not those tests, and saafe is "
    "not a listed device. Do not let it replace a smoke alarm."
)
IDENTITY_COLUMNS = (
    "sources", "windows", "right_share", "right_95_%_bounds", "chance_share", "told_apart",
)  # fmt: skip
RIVAL_COLUMNS = (
    "name", "verdict", "in_time", "fires", "false_alarms_per_year",
    "in_time_difference_95_%_bounds", "own_in_time", "own_false_alarms_per_year",
    "windows", "train_s", "compile_s", "thresholds_s",
)  # fmt: skip
FIRE_COLUMNS = (
    "fire", "n", "in_time", "late", "early", "missed", "in_time_share", "in_time_95_%_bounds",
    "not_shown", "limit_unreached", "not_later", "sounded", "after_shown_median_s",
    "after_photo_median_s", "fire_room_egress_median_s",
)  # fmt: skip
EVIDENCE_LIMITS = (
    "Everything simulated rests on one simulator: what it gets wrong, training and exam get "
    "wrong alike.",
    "Bounds count streams as independent where nothing else is said; those of accuracy, detection "
    "rate and false alarms of windows allow for windows of one scenario being alike.",
    "Recorded homes and fires are few, and were watched while the simulator was built: figures "
    "on them are development scores, and optimistic.",
    "A calibrated risk holds under the stated mix of fires, nuisances and quiet; "
    "MODEL_CARD.md gives the shift for another one.",
)

Result = Mapping[str, Any]
DrawnCase = Mapping[str, Any]


def write_report(path: Path, result: Result, cases: Sequence[DrawnCase]) -> Path:
    """Write a report into a run folder; cases as of `Case.drawn`, worst first."""
    write_atomically(path, page(path.parent, result, cases).encode())
    return path


def page(folder: Path, result: Result, cases: Sequence[DrawnCase]) -> str:
    """The whole document."""
    parts = [(title, make(result)) for title, make in SECTIONS.items()]
    absent = [title for title, body in parts if not body]
    place = list(SECTIONS).index("Calibration")
    parts.insert(place, ("Worst cases", worst_cases(cases)))
    parts.insert(0, ("Your rooms", rooms_section(folder)))
    parts.append(("Other figures", other(result)))
    parts.append(("Limits of the evidence", limits(result, absent)))
    parts.append(("Provenance", provenance_section(folder, result)))
    shown = [(title, body) for title, body in parts if body]
    links = "".join(f'<a href="#s{k}">{escape(title)}</a>' for k, (title, _) in enumerate(shown))
    sections = "".join(
        f'<h2 id="s{k}">{escape(title)}</h2>{body}' for k, (title, body) in enumerate(shown)
    )
    file = str((result.get("provenance") or {}).get("file"))
    name = escape(file if file.endswith(".onnx") else folder.resolve().name)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Exam of {name}</title><style>{html.CSS}</style></head><body>"
        f"<h1>Exam of {name}</h1>{verdict_section(result)}<nav>{links}</nav>{sections}"
        "</body></html>\n"
    )


def verdict_section(result: Result) -> str:
    """What it comes to: the device, the verdict in a sentence, one curve, then the gate."""
    out = ""
    if device := result.get("device"):
        out += f'<p class="lead">Device: <b>{escape(str(device))}</b></p>'
    found = result.get("rivals") or {}
    if line := headline(found):
        out += f'<p class="lead">{escape(line)}</p>'
    if found.get("curves"):
        caption = "Fires in time against false alarms a year, as thresholds move"
        out += html.picture(plots.draw_curves(found), caption)
    gate = result.get("gate")
    if not gate:
        return out + '<p class="lead not_shown">No gate was judged.</p>'
    lines = gate["lines"]
    count = {s: sum(line["status"] == s for line in lines) for s in (PASS, FAIL, NOT_SHOWN)}
    word = "PASS" if gate["passed"] else "FAIL"
    return out + (
        f'<p class="lead {word.lower()}"><b>{word}</b>, {escape(gate["level"])} gate: '
        f"{count[PASS]} of {len(lines)} lines pass, {count[FAIL]} fail, "
        f"{count[NOT_SHOWN]} not shown.</p>"
        f'<p class="note">{escape(NAMED_NOT_LISTED)}</p>'
    )


def rooms_section(folder: Path) -> str:
    """What held-out days of the user's rooms say of a tuned run; empty for any other."""
    found = room_lines.read_rooms_result(folder)
    if not found:
        return ""
    paid = room_lines.whether_it_paid(found)
    out = "".join(f'<p class="lead">{escape(line)}</p>' for line in paid)
    if rows := room_lines.figure_rows(found):
        out += html.text_table(room_lines.ROOM_FIGURES, rows)
    if rows := room_lines.kind_rows(found):
        out += "<h3>Simulated fires on held-out days: found in time</h3>"
        out += html.text_table(room_lines.KIND_COLUMNS, rows)
    said = [line for line in room_lines.sentences(found) if line not in paid]
    return out + "".join(f'<p class="note">{escape(line)}</p>' for line in said)


def gate(result: Result) -> str:
    """The gate's lines, and how each stands to its limit."""
    lines = (result.get("gate") or {}).get("lines")
    if not lines:
        return ""
    note = (
        '<p class="note">A line is judged by its value, with 95 % bounds beside. Where a bound '
        "must keep a limit too and does not, or there is no value, the line is not shown. "
        '"required" names the level from which on the gate needs the line.</p>'
    )
    rows = [
        {"name": html.header(row["name"])}
        | dict(zip(GATE_COLUMNS, line_texts(row), strict=True))
        | {"required": row["required"]}
        for row in lines
    ]
    chart = html.picture(plots.draw_gate(lines), "Value and 95 % bounds over the limit")
    return html_table(rows) + note + chart


def fires(result: Result) -> str:
    """The fire matrix: outcomes by kind, then every figure, then times to alarm."""
    rows = result.get("fires")
    if not rows or not isinstance(rows, list):
        return render(rows) if rows else ""
    plain = [html.merged_bounds(row) for row in rows]
    columns = [c for c in FIRE_COLUMNS if any(row.get(c) is not None for row in plain)]
    brief = (
        html_table(rows, columns=columns) + whole(rows) if len(columns) > 2 else html_table(rows)
    )
    chart = plots.draw_delays(rows)
    caption = "Time to alarm after the first signal and after references: median (dot) to 90 %"
    return brief + (html.picture(chart, caption) if chart else "")


def notice(result: Result) -> str:
    """Outcomes by the time that a fire could be seen before its limit."""
    note = (
        '<p class="note">From the first reading that shows a fire to its limit. Where that is a '
        "moment, no detector has time.</p>"
    )
    rows = result.get("notice")
    return note + html_table(rows) if rows else ""


def whole(rows: Sequence[Mapping[str, Any]]) -> str:
    """Every column, folded away."""
    return f"<details><summary>every figure</summary>{html_table(rows)}</details>"


def generic(key: str) -> Callable[[Result], str]:
    """A section that renders one key of the result as it is."""
    return lambda result: render(result[key]) if result.get(key) else ""


def years_section(result: Result) -> str:
    """Years of false alarms, and where the rates that they rest on are from."""
    found = result.get("life")
    if not found:
        return ""
    note = (
        '<p class="note">Alarms an event times events a year, summed. "assumed": the events a '
        "year are the authors' guess and no measurement; the years are worth what these are.</p>"
    )
    return note + render(found)


def faults(result: Result) -> str:
    """What a broken channel costs, and how soon it is said."""
    watch = result.get("fault_watch")
    return generic("faults")(result) + (render(watch) if watch else "")


def calibration(result: Result) -> str:
    """Reliability diagrams and tables."""
    found = result.get("calibration")
    if not isinstance(found, Mapping):
        return ""
    sets = {k: v for k, v in found.items() if isinstance(v, Mapping) and "table" in v}
    if not sets:
        return render(found)
    rows = [{"set": name.replace("_", " ")} | _without(part, "table") for name, part in
            sets.items()]  # fmt: skip
    chart = plots.draw_reliability({name: part["table"] for name, part in sets.items()})
    tables = "".join(
        f"<h3>{escape(name.replace('_', ' '))}</h3>{html_table(part['table'])}"
        for name, part in sets.items()
    )
    rest = render({k: v for k, v in found.items() if k not in sets})
    caption = "Reliability: predicted risk and observed share of fires; area is the bin's share"
    return (
        html_table(rows)
        + html.picture(chart, caption)
        + rest
        + (f"<details><summary>bins</summary>{tables}</details>")
    )


def ramps(result: Result) -> str:
    """Ramps that lowered the risk, and the worst of them."""
    found = result.get("ramps")
    if not isinstance(found, Mapping):
        return ""
    worst = found.get("worst") or {}
    out = render(_without(found, "worst"))
    if "times_s" in worst:
        caption = (
            f"The worst ramp: {html.figure_text(worst.get('amplitude'))} {worst.get('unit')} of "
            f"{worst.get('channel')} over {html.figure_text(worst.get('over_s'))} s"
        )
        out += html.picture(plots.draw_ramp(worst), caption)
    return out


def rivals(result: Result) -> str:
    """The examinee's rivals, and what is known of their differences."""
    found = result.get("rivals") or {}
    rows = found.get("rows")
    if not rows:
        return ""
    ours = escape(who(found))
    note = (
        '<p class="note">Rivals learn from the same windows, are calibrated and given thresholds '
        "in the same way; then all their thresholds are moved until they raise no more false "
        f"alarms a year than {ours} does, on the exam's own nuisances and quiet life. The "
        f"verdict is that of {ours}, by 95 % limits of a paired bootstrap over fires; "
        "own_... are at a rival's own thresholds; compile time is not part of training time.</p>"
    )
    plain = [html.merged_bounds(row) for row in rows]
    columns = [c for c in RIVAL_COLUMNS if any(row.get(c) is not None for row in plain)]
    return note + html_table(rows, columns=columns) + whole(rows) + missed(result)


def missed(result: Result) -> str:
    """Our missed fires: who finds them in the same readings."""
    found = result.get("rivals") or {}
    rows = found.get("missed")
    if not rows:
        return ""
    note = (
        '<p class="note">Missed fires, where every detector has as many false alarms a year as '
        f"{escape(who(found))}. What another one finds was in the readings and was not learned. "
        "What none finds is not in the readings, as far as these detectors can tell.</p>"
    )
    return "<h3>Missed fires</h3>" + note + html_table(rows)


def recordings(result: Result) -> str:
    """Published recordings, then every annotated set under its name."""
    found = result.get("recordings") or {}
    rest = _without(found, "sets")
    out = render(rest) if rest else ""
    for part in found.get("sets") or []:
        out += f"<h3>Set {escape(part['name'])}</h3>" + render(_without(part, "name"), level=4)
    return out


def superposed_cases(result: Result) -> str:
    """Recorded fires on recorded homes, by both of what their smoke may have done unseen."""
    return "".join(
        f"<h3>Smoke {case}</h3>" + render(result[key], level=4)
        for key, case in SUPERPOSED_CASES.items()
        if result.get(key)
    )


def identity(result: Result) -> str:
    """Whether quiet minutes tell their source, and what that means."""
    found = result.get("identity")
    if not isinstance(found, Mapping) or not found.get("rows"):
        return render(found) if found else ""
    note = f'<p class="note">{escape(found["means"])}</p>'
    return note + html_table(found["rows"], columns=IDENTITY_COLUMNS)


def worst_cases(cases: Sequence[DrawnCase]) -> str:
    """The worst fires and the worst false alarms, drawn."""
    alarms = [case for case in cases if case["kind"] == "false alarm"]
    fires_missed = [case for case in cases if case["kind"] != "false alarm"]
    out = ""
    for title, group in (("Fires", fires_missed), ("False alarms", alarms)):
        if group:
            out += f"<h3>{title}</h3>"
        for case in group[:MOST_CASES]:
            out += html.picture(plots.draw_case(case), f"{case['kind']}: {case['title']}")
    return out


def other(result: Result) -> str:
    """What the result holds beside the known sections, folded away."""
    rest = {k: v for k, v in result.items() if k not in KNOWN and v not in (None, {}, [])}
    return f"<details><summary>show</summary>{render(rest)}</details>" if rest else ""


def limits(result: Result, absent: Sequence[str]) -> str:
    """What the evidence cannot carry; `absent` names the sections that were not examined."""
    lines = (result.get("gate") or {}).get("lines", [])
    said: list[str] = list(EVIDENCE_LIMITS)
    unshown = [html.header(line["name"]) for line in lines if line["status"] == NOT_SHOWN]
    if unshown:
        said.insert(0, f"The exposure does not carry these claims: {', '.join(unshown)}.")
    if absent:
        said.insert(0, f"Not examined: {', '.join(absent).lower()}.")
    return "<ul>" + "".join(f"<li>{escape(line)}</li>" for line in said) + "</ul>"


def provenance_section(folder: Path, result: Result) -> str:
    """Commit, seed, hashes, versions: the exam's own, then what the run folder says."""
    top = {k: result[k] for k in ("version", "level", "seed", "windows_scored", "seconds")
           if k in result}  # fmt: skip
    found: dict[str, Any] = top | dict(result.get("provenance") or {})
    for name in (runs.ENVIRONMENT, runs.RECIPE):
        with suppress(FileNotFoundError, ValueError):  # what is lost or damaged is not shown
            found.setdefault(name.removesuffix(".json"), json.loads(read_file(folder / name)))
    model = folder / runs.MODEL
    if model.is_file() and not any("sha256" in key or "hash" in key for key in found):
        found["model_sha256"] = runs.sha256(model)
    return render(found)


def _without(part: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {k: v for k, v in part.items() if k != key}


SECTIONS: dict[str, Callable[[Result], str]] = {
    "Gate": gate,
    "Rivals": rivals,
    "Fires": fires,
    "Fires by notice": notice,
    "Against the reference alarms": generic("against_reference_alarms"),
    "Time to get out": generic("egress"),
    "Nuisances": generic("nuisances"),
    "Nuisance alarms over the photoelectric alarm's": generic("nuisance_ratio"),
    "Life: false alarms a year": years_section,
    "Calibration": calibration,
    "Ramps": ramps,
    "Faults": faults,
    "Shift": generic("shift"),
    "Recordings": recordings,
    "Superposed fires": superposed_cases,
    "Identity": identity,
}
KNOWN = {
    "version", "level", "device", "seed", "gate", "against_reference_alarms", "egress",
    "nuisance_ratio", "windows_scored", "seconds", "provenance", "fires",
    "nuisances", "life", "faults", "shift", "calibration", "ramps", "recordings",
    "superposed_fires", "superposed_fires_growing", "rivals", "fault_watch", "cases", "identity",
    "notice",
}  # fmt: skip

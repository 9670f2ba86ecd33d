"""Values to HTML: humane headers, tables, escaped text."""

import base64
import html
from collections.abc import Mapping, Sequence
from typing import Any

from saafe import formats

UNITS = {
    "_s": " [s]", "_ms": " [ms]", "_pct": " [%]", "_ppm": " [ppm]", "_c": " [°C]",
    "_m": " [m]", "_h": " [h]", "_usd": " [$]", "_bytes": " [bytes]",
}  # fmt: skip
WORDS = {
    "ece": "expected calibration error", "roc": "ROC", "auc": "AUC", "p90": "90 %",
    "p99": "99 %", "pm25": "PM2.5", "co2": "CO2", "co": "CO", "lower95": "lower 95 %",
}  # fmt: skip
SHARES = (
    "share", "detection_rate", "false_alarm_rate", "ece", "calibration_error", "predicted",
    "observed", "goal",
)  # fmt: skip

CSS = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2933; background: #fff;
  max-width: 62rem; margin: 2rem auto 6rem; padding: 0 1.2rem; }
h1 { font-size: 1.7rem; margin: 0 0 .2rem; } h2 { margin: 2.6rem 0 .6rem; font-size: 1.25rem;
  border-bottom: 1px solid #d5dbe1; padding-bottom: .2rem; } h3 { margin: 1.4rem 0 .4rem;
  font-size: 1rem; }
.lead { padding: .8rem 1rem; border-left: .4rem solid; margin: 1rem 0; font-size: 1.05rem; }
.pass { color: #1b6e4b; } .fail { color: #b3261e; } .not_shown { color: #8a5a00; }
.lead.pass { background: #e8f4ee; } .lead.fail { background: #fbeceb; }
.lead.not_shown { background: #fdf3e0; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .84rem;
  margin: .5rem 0 1rem; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .6rem; text-align: right; border-bottom: 1px solid #e4e8ec;
  vertical-align: top; white-space: nowrap; }
th { white-space: normal; background: #f4f6f8; font-weight: 600; }
th:first-child, td:first-child { text-align: left; } td.text { text-align: left;
  white-space: normal; min-width: 14rem; }
td.status { font-weight: 600; } .pairs td { text-align: left; }
img { max-width: 100%; height: auto; display: block; margin: .4rem 0 1rem; }
figure { margin: 1.2rem 0; } figcaption { font-weight: 600; font-size: .9rem; }
nav a { margin-right: .9rem; white-space: nowrap; } summary { cursor: pointer; }
.note { color: #52606d; font-size: .9rem; }
@media print { body { max-width: none; } details { display: block; } }
"""


def escape(value: object) -> str:
    """Text that is safe in HTML."""
    return html.escape(str(value), quote=True)


def header(key: str) -> str:
    """A key as people read it: `after_photo_median_s` becomes "after photo median [s]"."""
    unit = ""
    for suffix, name in UNITS.items():
        if key.endswith(suffix) and len(key) > len(suffix) + 1:
            key, unit = key.removesuffix(suffix), name
            break
        if f"{suffix}_" in key and suffix != "_c":  # as in delay_s_median
            key, unit = key.replace(f"{suffix}_", "_", 1), name
            break
    return " ".join(WORDS.get(word, word) for word in key.split("_") if word) + unit


def is_share(key: str) -> bool:
    """Whether a key names a share of one, shown in percent."""
    return any(key == word or key.endswith(f"_{word}") for word in SHARES)


def figure_text(value: object, *, percent: bool = False) -> str:
    """A value as people read it; not escaped."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and percent:
        return formats.percent(value)
    if value is None or isinstance(value, int | float):
        return formats.number(value)
    if isinstance(value, list | tuple):
        return ", ".join(figure_text(item) for item in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{header(str(k))} {figure_text(v)}" for k, v in value.items())
    return str(value)


def merged_bounds(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with every `X_lower` and `X_upper` side by side as one `X bounds` text."""
    out: dict[str, Any] = {}
    for key, value in row.items():
        stem = key.removesuffix("lower")
        if key.endswith("lower") and f"{stem}upper" in row:
            percent = is_share(stem.rstrip("_")) or any(
                is_share(other) for other in row if stem and other.startswith(stem)
            )
            text = formats.percent_interval if percent else formats.interval
            out[f"{stem}95_%_bounds"] = text(value, row[f"{stem}upper"])
        elif not (key.endswith("upper") and f"{key.removesuffix('upper')}lower" in row):
            out[key] = value
    return out


def html_table(rows: Sequence[Mapping[str, Any]], *, columns: Sequence[str] | None = None) -> str:
    """Flat rows as a table; columns in the order in which they first come."""
    plain = [merged_bounds(row) for row in rows]
    keys = list(columns or dict.fromkeys(key for row in plain for key in row))
    head = "".join(f"<th>{escape(header(key))}</th>" for key in keys)
    body = "".join(
        "<tr>" + "".join(cell(key, row.get(key)) for key in keys) + "</tr>" for row in plain
    )
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def text_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of texts as they are."""
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows
    )
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def cell(key: str, value: object) -> str:
    """One cell; a status is coloured and still says its word."""
    text = escape(figure_text(value, percent=is_share(key)))
    if key in ("status", "outcome") or key.endswith("verdict"):
        word = {"win": "pass", "loss": "fail", "tie": "not_shown"}.get(text, text)
        return f'<td class="status {escape(word.replace(" ", "_"))}">{text.replace("_", " ")}</td>'
    if isinstance(value, str) and "\n" in value:  # as a device's file: its lines are kept
        return f"<td><details><summary>show</summary><pre>{text}</pre></details></td>"
    kind = ' class="text"' if isinstance(value, str) and len(text) > 24 else ""
    return f"<td{kind}>{text}</td>"


def render(value: object, *, level: int = 3) -> str:
    """Any JSON value: rows as tables, figures as a list, parts under headings."""
    if isinstance(value, list) and value and all(isinstance(row, Mapping) for row in value):
        return html_table(value)
    if not isinstance(value, Mapping):
        return f"<p>{escape(figure_text(value))}</p>"
    single = {k: v for k, v in value.items() if not is_part(v)}
    out = ""
    if single:
        pairs = merged_bounds(single)
        rows = "".join(
            f"<tr><td>{escape(header(str(k)))}</td>{cell(str(k), v)}</tr>" for k, v in pairs.items()
        )
        out = f'<div class="wide"><table class="pairs">{rows}</table></div>'
    for key, part in value.items():
        if is_part(part):
            size = min(level, 6)
            out += f"<h{size}>{escape(header(str(key)))}</h{size}>" + render(part, level=level + 1)
    return out


def is_part(value: object) -> bool:
    """Whether a value needs a place of its own: a dict, or rows."""
    return isinstance(value, Mapping) or (
        isinstance(value, list) and any(isinstance(item, Mapping) for item in value)
    )


def picture(svg: bytes, caption: str) -> str:
    """An SVG inside the page, as an image, so that nothing in it can run."""
    data = base64.b64encode(svg).decode()
    return (
        f"<figure><figcaption>{escape(caption)}</figcaption>"
        f'<img alt="{escape(caption)}" src="data:image/svg+xml;base64,{data}"></figure>'
    )

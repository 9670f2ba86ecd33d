"""Records of JSON: lists of objects, and what vendors put around them or in their place."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeGuard

from saafe.errors import InputError
from saafe.readers.export_columns import UNIT_NAMES, VALUE_NAMES, find_meaning, spaced
from saafe.recordings import counted, plain, refusal

JSON_FORMS = (
    "a list of objects, an object a line, columns of one length, rows under names, ThingSpeak's "
    "feeds, Home Assistant's history"
)
MOST_LOST = 0.1  # Chosen: a file with more odd items than a tenth was misread
_ENTITY = re.compile(r"[a-z_]+[.:]\w+")  # sensor.kitchen_temperature
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d.*|\d{9,}(?:\.\d+)?")
# a table's names and its rows: PurpleAir, InfluxDB, pandas
_TABLES = [(names, rows) for names in ("fields", "columns") for rows in ("data", "values", "rows")]
# of Home Assistant's websocket and statistics
_SHORT = {"s": "state", "lu": "last_updated", "lc": "last_changed", "a": "attributes",
          "start": "last_updated", "mean": "state"}  # fmt: skip
# what a list of readings calls them: Awair, sensor.community
_READING_NAMES = ("comp", "value_type", "type", "name", "parameter", "quantity", "measurement",
                  "channel", "field", "variable", "sensor", "id")  # fmt: skip

NAMELESS, MISFIT = "nameless list item", "misfit row"  # no object; longer or shorter than names

JsonRecord = dict[str, Any]
Cells = list[tuple[int, dict[str, str]]]  # of each line or record: name -> cell
NamePath = tuple[str, ...]
Dropped = Counter[str]  # how many of what could not be read


class JsonRecords(NamedTuple):
    """Records `(line, name -> cell)`, and what was left out, for people."""

    records: Cells
    notes: tuple[str, ...]


def read_json_records(path: Path, text: str) -> JsonRecords | None:
    """Records of one JSON document or of JSON lines; None where it is neither.

    Raises:
        InputError: it is JSON that holds no records, or more than a tenth of it is none.
    """
    lost = Dropped()
    try:
        document = json.loads(text)
    except ValueError:
        return _of_lines(path, text.split("\n"))
    return _of_document(path, document, lost)


def _of_document(path: Path, document: object, lost: Dropped) -> JsonRecords:
    """Records of one document."""
    records = to_cells(enumerate(filter(None, records_in(document, lost)), 1), lost)
    if not any(cells for _, cells in records):
        raise refuse_form(path, f"JSON without records, {_form_of(document)}")
    return JsonRecords(records, _notes(path, lost, len(records)))


def refuse_form(path: Path, came: str) -> InputError:
    """An error that says which forms of JSON can be read."""
    mend = "export the readings in one of these forms, or as a table"
    return refusal(path, came, allowed=JSON_FORMS, mend=mend)


def _form_of(document: object) -> str:
    """What a document without records is, for people."""
    if isinstance(document, dict):
        return f"an object of {', '.join(map(str, document))[:80]}" if document else "an empty one"
    if isinstance(document, list):
        kinds = Counter("list" if isinstance(v, list) else "object" if isinstance(v, dict) else
                        "value" for v in document)  # fmt: skip
        inside = " and ".join(counted(n, kind) for kind, n in kinds.items())
        return f"a list of {inside}" if inside else "an empty list"
    return "a single value"


def _of_lines(path: Path, lines: Sequence[str]) -> JsonRecords | None:
    """Records of JSON lines; None where no line is an object."""
    records, lists, wrong, lost = [], [], [], Dropped()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            document = json.loads(line)
        except ValueError:
            document = None
        if isinstance(document, list):
            lists.append(document)
        if isinstance(document, dict) and document:
            records.append((number, document))
        else:
            wrong.append(number)
    if not records:
        return _of_document(path, lists, lost) if lists and len(lists) == len(wrong) else None
    records = to_cells(records, lost)
    notes = _notes(path, lost, len(records))
    if wrong:
        what = f"{counted(len(wrong), 'line')} without a JSON object"
        _refuse_many(path, what, len(wrong), len(records))
        notes = (f"left out {what}, first in line {wrong[0]}", *notes)
    return JsonRecords(records, notes)


def _notes(path: Path, lost: Dropped, right: int) -> tuple[str, ...]:
    """What was left out; refused where it is much of the records."""
    for what in (NAMELESS, MISFIT):
        _refuse_many(path, counted(lost[what], what), lost[what], right)
    return tuple(f"left out {counted(count, what)}" for what, count in lost.items() if count)


def _refuse_many(path: Path, came: str, wrong: int, right: int) -> None:
    if wrong > max(2, MOST_LOST * (wrong + right)):
        mend = 'write each as an object, such as {"time": "2026-01-31T12:00:00Z", "co2": 560}'
        raise refusal(path, f"{came}, of {wrong + right}", allowed="at most a tenth", mend=mend)


def records_in(document: object, lost: Dropped) -> list[JsonRecord]:
    """The records of a document: a list of them, or what vendors put around it."""
    if isinstance(document, list):
        return _of_list(document, lost)
    if not isinstance(document, dict):
        return []
    for found in (_packed(document, lost), _columns_of(document), _by_moment(document)):
        if found is not None:
            return found
    inner = {str(name): value for name, value in document.items() if _holds_records(value)}
    if not inner:
        return [document]
    if all(_ENTITY.fullmatch(name) for name in inner):
        return [{"entity_id": name} | {_SHORT.get(k, k): v for k, v in record.items()}
                for name, value in inner.items() for record in records_in(value, lost)]  # fmt: skip
    parts = {name: records_in(value, lost) for name, value in inner.items()}
    return _one_table(parts, lost)


def _one_table(parts: Mapping[str, list[JsonRecord]], lost: Dropped) -> list[JsonRecord]:
    """The records of the longest part, and of others like it, each a sensor by the part's name."""
    names = {name: {str(k) for record in part for k in record} for name, part in parts.items()}
    longest = max(parts, key=lambda name: len(parts[name]))
    alike = [name for name in parts if len(names[name] & names[longest]) >= 2]
    for name in parts.keys() - set(alike):
        lost[f"{name!r} item"] += len(parts[name])
    if len(alike) == 1:
        return parts[longest]
    return [{"sensor": name} | record for name in alike for record in parts[name]]


def _holds_records(value: object) -> bool:
    """Whether a value inside an object is a list of records, or an object around one."""
    if isinstance(value, dict):
        is_form = _packed(value, Dropped()) is not None or bool(
            _columns_of(value) or _by_moment(value)
        )
        return is_form or any(map(_holds_records, value.values()))
    return isinstance(value, list) and any(isinstance(item, dict | list) for item in value)


def _packed(document: Mapping[str, Any], lost: Dropped) -> list[JsonRecord] | None:
    """Records that an object holds in a form of its own; None where it has none of these."""
    if not any(isinstance(value, list) for value in document.values()):
        return None  # most records
    feeds, target, points = (document.get(key) for key in ("feeds", "target", "datapoints"))
    if isinstance(feeds, list):  # ThingSpeak: the names of field1... stand apart
        channel = document.get("channel")
        names = channel if isinstance(channel, dict) else {}
        fields = {key: str(name) for key, name in names.items() if key.startswith("field") and name}
        return [{fields.get(k, k): v for k, v in one.items()} for one in _objects(feeds, lost)]
    if target is not None and isinstance(points, list):  # Grafana
        return [{"name": target} | row for row in _rows(["value", "time"], points, lost)]
    for name, key in _TABLES:
        columns, rows = document.get(name), document.get(key)
        if _are_names(columns) and isinstance(rows, list):
            tags = document.get("tags")
            base = {key: document[key] for key in ("name",) if key in document}
            base |= tags if isinstance(tags, dict) else {}
            return [base | row for row in _rows(columns, rows, lost)]
    return None


def _are_names(values: object) -> TypeGuard[list[str]]:
    return isinstance(values, list) and bool(values) and all(isinstance(v, str) for v in values)


def _rows(columns: Sequence[str], rows: Sequence[object], lost: Dropped) -> Iterator[JsonRecord]:
    """Rows of values under names."""
    names = list(numbered(columns))
    for row in rows:
        if isinstance(row, list) and len(row) == len(names):
            yield dict(zip(names, row, strict=True))
        else:
            lost[MISFIT] += 1


def _columns_of(document: Mapping[str, Any]) -> list[JsonRecord] | None:
    """Records of columns: lists of one length, or pandas' objects of one index."""
    columns = {name: v for name, v in document.items() if isinstance(v, dict | list) and v}
    columns = {name: list(v.values()) if isinstance(v, dict) and _is_index(v) else v
               for name, v in columns.items()}  # fmt: skip
    lengths = {len(v) for v in columns.values() if isinstance(v, list) and _are_values(v)}
    is_one = len(columns) > 1 and all(isinstance(v, list) and _are_values(v)
                                      for v in columns.values())  # fmt: skip
    if not is_one or len(lengths) != 1:
        return None
    rest = {name: v for name, v in document.items() if name not in columns}
    return [rest | dict(zip(columns, row, strict=True))
            for row in zip(*columns.values(), strict=True)]  # fmt: skip


def _is_index(value: Mapping[str, Any]) -> bool:
    return list(value) == [str(k) for k in range(len(value))]


def _are_values(values: Sequence[object]) -> bool:
    return not any(isinstance(value, dict | list) for value in values)


def _by_moment(document: Mapping[str, Any]) -> list[JsonRecord] | None:
    """Records of an object that names each by its time."""
    is_one = len(document) > 1 and all(_MOMENT.fullmatch(key) for key in document)
    if not is_one or not all(isinstance(value, dict) for value in document.values()):
        return None
    return [{"time": key} | value for key, value in document.items()]


def _objects(items: Sequence[object], lost: Dropped) -> Iterator[JsonRecord]:
    """The objects of a list."""
    for item in items:
        if isinstance(item, dict):
            yield item
        else:
            lost[NAMELESS] += 1


def _of_list(items: Sequence[object], lost: Dropped) -> list[JsonRecord]:
    """Records of a list: objects, rows under a first one of names, or lists of objects."""
    first = items[0] if len(items) > 1 else None
    if isinstance(first, list) and _are_names(first) and isinstance(items[1], list):
        return list(_rows(first, items[1:], lost))
    records: list[JsonRecord] = []
    for item in items:
        if isinstance(item, list):  # Home Assistant: one list an entity, named in its first only
            entity = next((r.get("entity_id") for r in item if isinstance(r, dict)), None)
            records += [{"entity_id": entity} | record for record in _of_list(item, lost)]
        elif isinstance(item, dict) and isinstance(item.get("series"), list):  # InfluxDB
            records += _of_list(item["series"], lost)
        elif isinstance(item, dict):
            packed = _packed(item, lost)
            records += [item] if packed is None else packed
        else:
            lost[NAMELESS] += 1
    return records


def to_cells(records: Iterable[tuple[int, Mapping[str, Any]]], lost: Dropped) -> Cells:
    """Cells of records: each by its own name, or with what it stands in where two have one."""
    found = [(line, dict(_paths(record, (), lost))) for line, record in records]
    names = _names({path for _, cells in found for path in cells})
    return [(line, {names[path]: cell for path, cell in cells.items()}) for line, cells in found]


def _names(paths: set[NamePath]) -> dict[NamePath, str]:
    """The shortest end of each path that no other path of the file ends in."""
    ends = Counter(path[k:] for path in paths for k in range(len(path)))
    found = {}
    for path in paths:
        alone = (path[k:] for k in reversed(range(len(path))) if ends[path[k:]] == 1)
        found[path] = ".".join(next(alone, path))
    return found


def _paths(
    record: Mapping[str, Any], inside: NamePath, lost: Dropped
) -> Iterator[tuple[NamePath, str]]:
    """The cells of a record, each with its name and those of what it stands in."""
    for name, value in record.items():
        path = (*inside, _sayable(str(name)))
        if isinstance(value, dict) and _is_reading(name, value):
            yield path, _reading_text(value)
        elif isinstance(value, dict):
            yield from _paths(value, path, lost)
        elif isinstance(value, list):
            readings = [v for v in value if isinstance(v, dict) and _named_reading(v)]
            ending = " index" * (name == "indices")  # Awair's are scores
            for own, item in zip(numbered(map(_named_reading, readings)), readings, strict=True):
                yield (*path, own + ending), _reading_text(item)
            if others := len(value) - len(readings):
                lost[f"{'.'.join(path)!r} list item"] += others
        else:
            yield path, "" if value is None else _sayable(str(value))


def _sayable(text: str) -> str:
    """Text without half characters, which JSON may escape and no file can hold."""
    return text.encode("utf-8", "replace").decode("utf-8")


def numbered(names: Iterable[str]) -> Iterator[str]:
    """Names that differ: the second of one gets " #2", so that neither hides the other."""
    seen = Counter[str]()
    for name in names:
        key = plain(name)
        seen[key] += 1
        yield name if name and seen[key] == 1 else f"{name or 'unnamed'} #{seen[key]}"


def _is_reading(name: str, value: Mapping[str, Any]) -> bool:
    """Whether an object is one reading, such as {"value": 21.5, "unit": "C"}."""
    return _value_key(value) != "" and find_meaning(str(name)) is not None


def _value_key(value: Mapping[str, Any]) -> str:
    """The name of a reading's number, "" where an object has none."""
    return next((key for key in VALUE_NAMES if key in value
                 and not isinstance(value[key], dict | list)), "")  # fmt: skip


def _named_reading(item: Mapping[str, Any]) -> str:
    """The name of a reading in a list of them, "" where an object is none."""
    name = next((item[key] for key in _READING_NAMES if isinstance(item.get(key), str)), "")
    return _sayable(name) if _value_key(item) else ""


def _reading_text(value: Mapping[str, Any]) -> str:
    """The number of a reading and its unit behind it."""
    number = value[_value_key(value)]
    unit = next((value[key] for key in value if spaced(key) in UNIT_NAMES), None)
    return "" if number is None else _sayable(f"{number} {unit or ''}".strip())

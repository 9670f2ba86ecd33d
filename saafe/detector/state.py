"""What a detector has seen, as plain JSON values, and back again, bit for bit.

Objects are told by their attributes. They are filled into fresh ones of the same shape, so that a
file can only ever set numbers, words and arrays that were there before: nothing is unpickled.
"""

import base64
import hashlib
import json
import math
from collections import deque
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from saafe.errors import InputError
from saafe.files import read_file, write_atomically

STATE_FORMAT = "saafe-state-4"
NOT_FINITE = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}  # JSON has no numbers for them
OF_THE_MODEL = "settings"  # an attribute that is not saved
ARRAYS = ("float32", "float64", "int64")


class MismatchError(ValueError):
    """A value is not of the kind that stands in its place."""


def to_plain(value: Any) -> Any:
    """An object of the detector, or a value in one, as JSON values."""
    if is_array(value):
        data = base64.b64encode(value.tobytes()).decode()
        return {"dtype": str(value.dtype), "shape": list(value.shape), "data": data}
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if value is None or isinstance(value, bool | int | str):
        return value
    if is_list(value) or is_tuple(value) or is_deque(value):
        return [to_plain(one) for one in value]
    if is_dict(value):
        return {key: to_plain(one) for key, one in value.items()}
    return {name: to_plain(getattr(value, name)) for name in saved_names(value)}


def saved_names(value: object) -> list[str]:
    """The attributes of an object that are saved: those that it names as `SAVED`, else all."""
    return [name for name in getattr(value, "SAVED", vars(value)) if name != OF_THE_MODEL]


def fill(target: Any, plain: Any) -> None:
    """Set an object's attributes to what `to_plain` made of one like it.

    Raises:
        MismatchError: it was not made of one like it.
    """
    names = saved_names(target)
    if not is_dict(plain) or set(plain) != set(names):
        raise MismatchError(f"the parts of {type(target).__name__}")
    for name in names:
        setattr(target, name, like(getattr(target, name), plain[name]))


def like(old: Any, plain: Any) -> Any:
    """A value of the kind of an old one, from JSON values."""
    if is_array(old):
        return array_like(old, plain)
    if isinstance(old, bool) or isinstance(plain, bool):
        return checked(plain, type(old) is bool and isinstance(plain, bool))
    if isinstance(old, float) or old is None:  # None: a time that is not known yet
        return None if plain is None and old is None else float_of(plain)
    if isinstance(old, int | str):
        if plain is None:
            raise MismatchError("a value is missing")
        return checked(plain, type(plain) is type(old))
    if is_tuple(old):
        items = listed(plain)
        checked(plain, len(items) == len(old))
        return tuple(like(one, new) for one, new in zip(old, items, strict=True))
    if is_deque(old):
        return deque((float_of(one) for one in listed(plain)), maxlen=old.maxlen)
    if is_list(old):
        return list_like(old, plain)
    if is_dict(old):
        if not is_dict(plain):
            raise MismatchError(f"{str(plain)[:40]!r}")
        return {name: checked(word, isinstance(word, str)) for name, word in plain.items()}
    fill(old, plain)
    return old


def list_like(old: list[Any], plain: Any) -> list[Any]:
    """A list: of objects as many as there were, else of numbers or of pairs of them."""
    items = listed(plain)
    if old and hasattr(old[0], "__dict__"):
        checked(items, len(items) == len(old))
        return [like(one, new) for one, new in zip(old, items, strict=True)]
    return [tuple(map(float_of, one)) if is_list(one) else checked_number(one) for one in items]


def array_like(old: NDArray[Any], plain: Any) -> NDArray[Any]:
    """An array of an old one's shape, and of a kind of numbers that is known."""
    try:
        dtype, shape = plain["dtype"], tuple(plain["shape"])
        checked(dtype, dtype in ARRAYS and shape == old.shape)
        return np.frombuffer(base64.b64decode(plain["data"]), dtype).reshape(shape).copy()
    except (KeyError, TypeError, ValueError) as error:
        raise MismatchError(f"an array ({error})") from None


def float_of(plain: Any) -> float:
    """A number, also one that JSON has none for."""
    if isinstance(plain, str) and plain in NOT_FINITE:
        return NOT_FINITE[plain]
    return float(checked_number(plain))


def checked_number(plain: Any) -> Any:
    """A number of JSON, or a word for one that it lacks, as a number."""
    if isinstance(plain, str) and plain in NOT_FINITE:
        return NOT_FINITE[plain]
    return checked(plain, isinstance(plain, int | float) and not isinstance(plain, bool))


def listed(plain: Any) -> list[Any]:
    """A list."""
    return checked(plain, isinstance(plain, list))


def checked(plain: Any, is_right: bool) -> Any:
    """The value, if it is right."""
    if not is_right:
        raise MismatchError(f"{str(plain)[:40]!r}")
    return plain


def model_identity(model: Any) -> str:
    """What tells a model from others: its weights' hash where it has one, else its thresholds."""
    found = getattr(model, "identity", None)
    return found or hashlib.sha256(json.dumps(model.settings.to_dict()).encode()).hexdigest()


def write_state(path: Path, state: dict[str, Any]) -> None:
    """Write a state with a checksum, whole or not at all, and so that it survives a power cut."""
    text = json.dumps(state, allow_nan=False)
    document = json.dumps({"sha256": hashlib.sha256(text.encode()).hexdigest(), "state": state})
    write_atomically(
        path, document.encode(), mend="free some space, or make its folder", is_durable=True
    )


def read_state(path: Path) -> dict[str, Any]:
    """The state of a file.

    Raises:
        InputError: it is not there, unreadable or damaged.
    """
    try:
        content = read_file(path)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; `Detector.save` makes one") from None
    try:
        document = json.loads(content)
        state = document["state"]
        text = json.dumps(state, allow_nan=False)
        is_whole = hashlib.sha256(text.encode()).hexdigest() == document["sha256"]
    except (ValueError, TypeError, KeyError, RecursionError):
        is_whole, state = False, None
    if is_whole and is_dict(state):
        return state
    raise InputError(f"{path} is damaged: start the detector without it")


# `isinstance` alone leaves what a container holds unknown to a strict checker


def is_array(value: object) -> TypeGuard[NDArray[Any]]:
    """Whether a value is an array."""
    return isinstance(value, np.ndarray)


def is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether a value is a list."""
    return isinstance(value, list)


def is_tuple(value: object) -> TypeGuard[tuple[Any, ...]]:
    """Whether a value is a tuple."""
    return isinstance(value, tuple)


def is_deque(value: object) -> TypeGuard[deque[Any]]:
    """Whether a value is a deque."""
    return isinstance(value, deque)


def is_dict(value: object) -> TypeGuard[dict[str, Any]]:
    """Whether a value is a dict; those of JSON and of the detector have words as keys."""
    return isinstance(value, dict)

"""The one exception that a user can cause, and what to say where a package is missing.

Packages whose names are imported when they are used need only what those names need.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from importlib import import_module
from types import UnionType
from typing import Any

_names_options = ContextVar("_names_options", default=False)


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one line: what was given, what is allowed, and what to do.
    The command line prints it alone and exits 1.

    Example:
        >>> import saafe
        >>> try:
        ...     saafe.read_recording("absent.csv")
        ... except saafe.InputError as error:
        ...     print(error)
        absent.csv: no such file; allowed: ...
    """


def check_type(value: object, kind: type | UnionType, takes: str) -> None:
    """Refuse a value of another type than a public function takes; `takes` says which it takes."""
    if not isinstance(value, kind):
        raise InputError(f"{takes}, got {type(value).__name__}")


@contextmanager
def on_command_line(*, is_so: bool = True) -> Generator[None]:
    """Within it errors name the options of the command line, else the arguments of Python."""
    before = _names_options.set(is_so)
    try:
        yield
    finally:
        _names_options.reset(before)


def is_on_command_line() -> bool:
    """Whether errors name options: for work that is done on another thread or machine."""
    return _names_options.get()


def as_given(option: str, argument: str) -> str:
    """The one of two words for something that whoever reads an error gives it by."""
    return option if is_on_command_line() else argument


# what the extras of pyproject.toml add: detection needs none of it
EXTRAS = {
    "plot": ("matplotlib", "uniplot"),
    "train": ("torch", "scipy", "safetensors", "onnx"),
}


def missing_extra(error: ModuleNotFoundError) -> InputError | None:
    """What to install where a module of the extra is missing; None where it is another module."""
    package = (error.name or "").partition(".")[0]
    for extra, packages in EXTRAS.items():
        if package in packages:
            return InputError(f'this needs {package}: pip install "saafe[{extra}]"')
    return None


def imported_late(
    package: str, names: Sequence[str], made: Mapping[str, Sequence[str]]
) -> Callable[[str], Any]:
    """The `__getattr__` of a package whose names are imported when they are used.

    Args:
        package: its name.
        names: all that it offers, its `__all__`.
        made: what each of its modules makes; the other names are modules themselves.
    """
    homes = {name: module for module, some in made.items() for name in some}

    def getter(name: str) -> Any:
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = import_module(f"{package}.{homes.get(name, name)}")
        return getattr(module, name) if name in homes else module

    return getter

"""The one exception that a user can cause, and what to say where a package is missing."""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from types import UnionType

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

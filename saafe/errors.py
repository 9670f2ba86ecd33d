"""The one exception that a user can cause."""


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

"""Words of commands that a user can copy into a shell."""

import shlex


def shell_word(word: str) -> str:
    """A word of a command as a shell takes it, also one with line ends: on one line."""
    if word.isprintable():
        return shlex.quote(word)
    special = {"\\": "\\\\", "'": "\\'"}
    cells = (special.get(c, c if c.isprintable() else _escape(c)) for c in word)
    return "$'" + "".join(cells) + "'"


def _escape(character: str) -> str:
    """A character that cannot be shown as bash writes it."""
    return "".join(f"\\x{byte:02x}" for byte in character.encode(errors="surrogateescape"))

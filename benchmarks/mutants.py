"""How many deliberate faults the tests find: mutants of physics, figures and alarm logic.

    python benchmarks/mutants.py [--sample 300] [--seed 0] [--only alarms] [--skip 0] [--json]

A mutant is the package with one small fault: a comparison at its boundary or reversed, another
operator, a number off by a tenth (a whole one by 1), a condition turned round, `min` for `max`, a
call left out. Each is tried on those tests of `TESTS` that are about its file, until one fails. A
mutant that no test fails on survives, and is printed. Mutants that hang are killed, and counted so.

Sites are shuffled by the seed: a smaller sample is the beginning of a larger one, and `--skip`
goes on where another run ended. One process; a test file that fails without any fault ends the run.
"""

import argparse
import ast
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from last_line import print_last_line

ROOT = Path(__file__).parents[1]
SPACE = "tests/test_space.py"
LIMITS_REACHED = "tests/test_simulation.py::test_limits_are_reached_at_their_time"
TESTS = {  # the files to break, and the tests that would tell, quick ones first
    "saafe/simulator/physics.py": [
        "tests/test_physics.py",
        "tests/test_limits.py",
        "tests/test_air.py",
    ],
    "saafe/simulator/air.py": ["tests/test_air.py", "tests/test_compiled.py"],
    "saafe/simulator/reference_alarms.py": ["tests/test_reference_alarms.py"],
    "saafe/simulator/limits.py": ["tests/test_limits.py", LIMITS_REACHED],
    "saafe/metrics.py": ["tests/test_metrics.py"],
    "saafe/exam/outcomes.py": ["tests/test_outcomes.py"],
    "saafe/detector/alarms.py": ["tests/test_alarms.py", SPACE, "tests/test_detector.py"],
    "saafe/detector/space.py": [SPACE, "tests/test_detector.py", "tests/test_state.py"],
    "saafe/detector/sensor_stream.py": ["tests/test_sensor_stream.py", "tests/test_detector.py"],
}
NO_TESTS_RUN = 5  # pytest's exit code
PATIENCE = 4.0  # Chosen: a mutant hangs that takes so many times as long as no mutant, and 20 s
PRELOADED = ("numpy", "torch", "numba", "scipy.special", "pytest")

COMPARISONS: dict[type[ast.cmpop], tuple[str, ...]] = {  # as written, and what for it
    ast.Lt: ("<", "<=", ">="), ast.LtE: ("<=", "<", ">"), ast.Gt: (">", ">=", "<="),
    ast.GtE: (">=", ">", "<"), ast.Eq: ("==", "!="), ast.NotEq: ("!=", "=="),
    ast.Is: ("is", "is not"), ast.IsNot: ("is not", "is"), ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
}  # fmt: skip
OPERATORS: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "/"), ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "/"), ast.Mod: ("%", "*"), ast.Pow: ("**", "*"), ast.BitAnd: ("&", "|"),
    ast.BitOr: ("|", "&"),
}  # fmt: skip
TWINS = {
    "min": "max", "minimum": "maximum", "fmin": "fmax", "any": "all", "floor": "ceil",
    "cummax": "cummin", "argmax": "argmin",
}  # fmt: skip
TWINS |= {twin: name for name, twin in TWINS.items()}
TEXT = (ast.JoinedStr, ast.Raise, ast.Import, ast.ImportFrom)  # words for people, and imports


@dataclass(frozen=True)
class Mutant:
    """A file with one piece of its text replaced."""

    path: str
    start: int  # of the piece, in bytes
    end: int
    text: str  # in its place

    def source(self, old: bytes) -> bytes:
        """The file's text with the fault."""
        return old[: self.start] + self.text.encode() + old[self.end :]

    def described(self, old: bytes) -> dict[str, Any]:
        """Where it is, and its lines before and after."""
        line = old.count(b"\n", 0, self.start)
        last = old.count(b"\n", 0, self.end)
        new = self.source(old).split(b"\n")
        more = self.text.count("\n") - (last - line)
        return {
            "file": self.path,
            "line": line + 1,
            "old": b" ".join(part.strip() for part in old.split(b"\n")[line : last + 1]).decode(),
            "new": b" ".join(part.strip() for part in new[line : last + 1 + more]).decode(),
        }


class Sites:
    """The places of a file that can be broken."""

    def __init__(self, path: str, source: bytes) -> None:
        """Read a file's text."""
        self.path, self.source = path, source
        self.lines = [0]
        for line in source.split(b"\n"):
            self.lines.append(self.lines[-1] + len(line) + 1)

    def mutants(self) -> list[Mutant]:
        """All of them, in the order of the text; several of one place may be alike."""
        return list(dict.fromkeys(self._of(ast.parse(self.source))))

    def _at(self, line: int, column: int) -> int:
        return self.lines[line - 1] + column

    def _span(self, node: Any) -> tuple[int, int]:
        ends = self._at(node.end_lineno, node.end_col_offset)
        return self._at(node.lineno, node.col_offset), ends

    def _text(self, node: ast.AST) -> str:
        start, end = self._span(node)
        return self.source[start:end].decode()

    def _replaced(self, start: int, end: int, old: str, new: str) -> Iterator[Mutant]:
        """A word between two places, replaced."""
        at = self.source.find(old.encode(), start, end)
        if at >= 0:
            yield Mutant(self.path, at, at + len(old), new)

    def _between(self, left: ast.AST, right: ast.AST, old: str, new: str) -> Iterator[Mutant]:
        return self._replaced(self._span(left)[1], self._span(right)[0], old, new)

    def _of(self, node: ast.AST) -> Iterator[Mutant]:
        """The mutants of a node and of all in it."""
        if isinstance(node, TEXT) or (
            isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        ):
            return
        yield from self._own(node)
        for name, value in ast.iter_fields(node):
            is_type = name in ("annotation", "returns", "decorator_list", "msg")
            for child in [] if is_type else value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from self._of(child)

    def _own(self, node: ast.AST) -> Iterator[Mutant]:
        """The mutants of a node itself."""
        match node:
            case ast.Compare():
                sides = [node.left, *node.comparators]
                for left, op, right in zip(sides[:-1], node.ops, sides[1:], strict=True):
                    old, *others = COMPARISONS[type(op)]
                    for new in others:
                        yield from self._between(left, right, old, new)
            case ast.BinOp() if type(node.op) in OPERATORS and not is_text(node):
                yield from self._between(node.left, node.right, *OPERATORS[type(node.op)])
            case ast.AugAssign() if type(node.op) in OPERATORS:
                old, new = OPERATORS[type(node.op)]
                yield from self._between(node.target, node.value, old + "=", new + "=")
            case ast.BoolOp():
                words = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
                for left, right in zip(node.values[:-1], node.values[1:], strict=True):
                    yield from self._between(left, right, *words)
            case ast.UnaryOp(op=ast.Not()):
                yield Mutant(self.path, *self._span(node), f"bool{self._bare(node)}")
            case ast.UnaryOp(op=ast.USub()):
                start, _ = self._span(node)
                yield Mutant(self.path, start, start + 1, "+")
            case ast.Constant():
                if (new := other_constant(node.value)) is not None:
                    yield Mutant(self.path, *self._span(node), new)
            case ast.Call():
                start, end = self._span(node.func)
                name = self._text(node.func).rpartition(".")[2]
                if name in TWINS:
                    yield Mutant(self.path, end - len(name), end, TWINS[name])
            case ast.keyword(arg="min" | "max"):
                start, _ = self._span(node)
                yield Mutant(self.path, start, start + 3, TWINS[node.arg or ""])
            case ast.Expr(value=ast.Call()):
                yield Mutant(self.path, *self._span(node), "pass")
            case _:
                pass
        if isinstance(node, (ast.If, ast.While, ast.IfExp)):
            yield from self._turned(node.test)
        if isinstance(node, ast.comprehension):
            for test in node.ifs:
                yield from self._turned(test)

    def _turned(self, test: ast.AST) -> Iterator[Mutant]:
        """A condition that no other fault turns round, turned round."""
        is_not = isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not)
        if not (is_not or isinstance(test, ast.Compare)):
            yield Mutant(self.path, *self._span(test), f"(not ({self._text(test)}))")

    def _bare(self, node: ast.UnaryOp) -> str:
        """What `not` stands before, in brackets."""
        return f"({self._text(node).removeprefix('not').strip()})"


def is_text(node: ast.BinOp) -> bool:
    """Whether words are put together."""
    sides = (node.left, node.right)
    return any(
        isinstance(side, ast.JoinedStr)
        or (isinstance(side, ast.Constant) and isinstance(side.value, str))
        for side in sides
    )


def other_constant(value: object) -> str | None:
    """A wrong value in the place of a right one; None where words stand."""
    if isinstance(value, bool):
        return str(not value)
    if isinstance(value, int):
        return str(value + 1)
    if isinstance(value, float):
        return repr(value * 1.1 if value else 1.0)
    return None


def draw(only: str, seed: int) -> tuple[list[Mutant], dict[str, bytes]]:
    """All mutants of the chosen files in a drawn order, and the files' texts."""
    sources = {path: (ROOT / path).read_bytes() for path in TESTS if only in path}
    mutants = [one for path, text in sources.items() for one in Sites(path, text).mutants()]
    random.Random(seed).shuffle(mutants)
    return mutants, sources


def copied(folder: Path) -> None:
    """Copy the working tree, which is never broken itself."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, names.decode().split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def passes(folder: Path, tests: list[str], limit_s: float) -> bool | None:
    """Whether tests pass in a process of their own; None where they hang."""
    child = os.fork()
    if not child:
        code = NO_TESTS_RUN
        try:
            os.setsid()
            os.chdir(folder)
            silent = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silent, 1)
            os.dup2(silent, 2)
            import pytest

            code = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *tests]))
        finally:
            os._exit(code)  # whatever happens: the rest is the parent's
    until = time.monotonic() + limit_s
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            code = os.waitstatus_to_exitcode(status)
            if code == NO_TESTS_RUN:
                raise SystemExit(f"pytest could not run {', '.join(tests)} (exit code {code})")
            return code == 0
        time.sleep(0.05)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return None


def tried(folder: Path, mutant: Mutant, source: bytes, limit_s: float) -> str:
    """What becomes of a mutant: killed, hangs or survived."""
    file = folder / mutant.path
    for old in file.parent.glob(f"__pycache__/{file.stem}.*.pyc"):  # it may be of the same second
        old.unlink()
    file.write_bytes(mutant.source(source))
    try:
        passed = passes(folder, TESTS[mutant.path], limit_s)
    finally:
        file.write_bytes(source)
    return "hangs" if passed is None else "survived" if passed else "killed"


def measured(folder: Path, paths: list[str]) -> dict[str, float]:
    """How long the tests of each file take without a fault. [s]"""
    took = {}
    for path in paths:
        passes(folder, TESTS[path], 600.0)  # compiles what is compiled once
        start = time.monotonic()
        if not passes(folder, TESTS[path], 600.0):
            raise SystemExit(f"the tests of {path} fail without a fault")
        took[path] = time.monotonic() - start
        print(f"{path}: its tests take {took[path]:.1f} s", file=sys.stderr, flush=True)
    return took


def table(results: list[dict[str, Any]], sites: dict[str, int]) -> Iterator[str]:
    """Lines for people: shares by file, then the survivors."""
    yield f"{'file':38} {'sites':>6} {'tried':>6} {'killed':>7} {'share':>6}"
    for path in [*sites, "all"]:
        mine = [one for one in results if path in ("all", one["file"])]
        killed = sum(one["result"] != "survived" for one in mine)
        share = f"{killed / len(mine):.0%}" if mine else "-"
        count = sum(sites.values()) if path == "all" else sites[path]
        yield f"{path:38} {count:>6} {len(mine):>6} {killed:>7} {share:>6}"
    for one in results:
        if one["result"] == "survived":
            yield f"\n{one['file']}:{one['line']}\n- {one['old']}\n+ {one['new']}"


def main() -> None:
    """Try mutants one after the other."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--sample", type=int, default=300, help="how many mutants")
    parser.add_argument("--seed", type=int, default=0, help="of the order in which they are tried")
    parser.add_argument("--skip", type=int, default=0, help="so many, which another run tried")
    parser.add_argument("--only", default="", help="files with this word in their path")
    parser.add_argument("--json", action="store_true", help="that line alone, with all mutants")
    asked = parser.parse_args()

    mutants, sources = draw(asked.only, asked.seed)
    chosen = mutants[asked.skip : asked.skip + asked.sample]
    for name in PRELOADED:  # every process begins with them
        __import__(name)
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as name:
        folder = Path(name)
        copied(folder)
        os.environ["PYTHONPATH"] = name
        sys.path.insert(0, name)
        took = measured(folder, sorted({mutant.path for mutant in chosen}))
        sys.dont_write_bytecode = True
        os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
        for mutant in chosen:
            source = sources[mutant.path]
            result = tried(folder, mutant, source, PATIENCE * took[mutant.path] + 20.0)
            results.append({"result": result, **mutant.described(source)})
            one = results[-1]
            print(
                f"{len(results):4} {result:8} {one['file']}:{one['line']}",
                file=sys.stderr,
                flush=True,
            )
    counts = {path: sum(one.path == path for one in mutants) for path in sources}
    killed = sum(one["result"] != "survived" for one in results)
    if not asked.json:
        print("\n".join(table(results, counts)))
    figures = {"killed": killed, "share": killed / len(results) if results else None}
    more: dict[str, Any] = {"sites": len(mutants), "seed": asked.seed, "skip": asked.skip}
    if asked.json:
        more["results"] = results
    print_last_line("mutants", figures, len(results), "pytest", **more)


if __name__ == "__main__":
    main()

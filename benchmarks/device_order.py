"""Whether devices come in the same order: what `saafe devices compare --json` wrote, file by file.

    python benchmarks/device_order.py seed-0.json seed-1.json seed-2.json

Devices are ordered by their share of fires in time. Rank correlations are Spearman's, of every two
files; neighbours of the mean order that a file has the other way round are named.
"""

import argparse
import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
from last_line import print_last_line
from numpy.typing import NDArray


def shares_of(document: dict[str, Any]) -> dict[str, float]:
    """The share of fires in time of each device."""
    return {row["device"]: row["in_time_share"] for row in document["devices"]}


def ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1 for the highest; equal ones share their mean. (n,) to (n,)"""
    above = (values[None, :] > values[:, None]).sum(axis=1)
    equal = (values[None, :] == values[:, None]).sum(axis=1)
    return above + (equal + 1.0) / 2.0


def rank_correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Spearman's rank correlation; NaN where all are equal."""
    return float(np.corrcoef(ranks(one), ranks(other))[0, 1])


def swapped(order: list[str], shares: dict[str, float]) -> list[tuple[str, str]]:
    """Neighbours of an order of which the second finds more."""
    return [(a, b) for a, b in itertools.pairwise(order) if shares[b] > shares[a]]


def main() -> None:
    """Print a table, and a line of JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    files = parser.parse_args().files
    shares = [shares_of(json.loads(path.read_text())) for path in files]
    names = [name for name in shares[0] if all(name in one for one in shares)]
    table = np.array([[one[name] for one in shares] for name in names])
    mean = table.mean(axis=1)
    order = [names[k] for k in np.argsort(-mean, kind="stable")]
    print("device".ljust(28) + "".join(path.stem.rjust(14) for path in files) + "mean".rjust(10))
    for name in order:
        row = table[names.index(name)]
        cells = "".join(f"{100 * share:13.1f}%" for share in row)
        print(f"{name:28}{cells}{100 * row.mean():9.1f}%")
    correlations = [
        rank_correlation(table[:, a], table[:, b])
        for a, b in itertools.combinations(range(len(files)), 2)
    ]
    print("rank correlation of every two:", ", ".join(f"{one:.2f}" for one in correlations))
    pairs = {}
    for path, one in zip(files, shares, strict=True):
        pairs[path.stem] = swapped(order, one)
        told = "; ".join(f"{b} before {a}" for a, b in pairs[path.stem]) or "none"
        print(f"neighbours the other way round in {path.stem}: {told}")
    figures = {"order": order, "rank_correlations": correlations, "swapped": pairs}
    print_last_line("device_order", figures, len(files))


if __name__ == "__main__":
    main()

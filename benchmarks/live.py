"""How long after they become true events are printed: live pipes and real clocks.

    python benchmarks/live.py RUN

Twenty `saafe detect RUN -` at once: four at each period, whose rows come at the pace of their times
and begin to burn, and four sensors of 10 s that fall silent. Takes some seven minutes.

`print_delay_s` is the longest time from the moment that an event names to its line, over all
events; `silence_said_s` the longest from a sensor's last row to its fault; `as_in_file` the share
of pipes whose first alarm `saafe detect RUN FILE` says at the same time of the same rows.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from last_line import print_last_line

ROOT = Path(__file__).parents[1]
HEADER = "time_s,sensor,temperature_c,pm25_ug_m3,co2_ppm,co_ppm,humidity_pct"
HISTORY_ROWS, HISTORY_S = 24, 1200.0  # at least so long, and at least so many rows
SILENT_PERIOD_S = 10.0
BURNING_ROWS = 3  # live rows before the fire, at periods up to 10 s
OFFSET_S = 0.3  # of half the pipes, so that no row ends a bin
DETECT = [sys.executable, "-m", "saafe", "detect"]


def row(time_s: float, heat: float, noise: random.Random, humidity: float | None = None) -> str:
    """A calm room's row, `heat` kelvin warmer by a fire."""
    cells = (
        21.0 + noise.gauss(0, 0.05) + heat, abs(7.0 + noise.gauss(0, 0.5)) + 40.0 * heat,
        560.0 + noise.gauss(0, 5) + 60.0 * heat, 2.0 * heat, humidity or 45 + noise.gauss(0, 0.2),
    )  # fmt: skip
    return f"{time_s:.3f},kitchen," + ",".join(f"{cell:.2f}" for cell in cells)


@dataclass
class Pipe:
    """One `saafe detect RUN -`."""

    run: str
    period_s: float
    number: int
    rows: list[str] = field(default_factory=list)
    said: list[tuple[float, dict]] = field(default_factory=list)  # (our clock, event)
    last_row: float = 0.0  # our clock

    def start(self) -> None:
        """Send a history at once, and wait until it is read."""
        self.noise = random.Random(self.number)
        self.process = subprocess.Popen(
            [*DETECT, self.run, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            bufsize=1, cwd=ROOT, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        threading.Thread(target=self._listen, daemon=True).start()
        self.send(HEADER)
        offset = OFFSET_S if self.number % 2 else 0.0
        count = max(HISTORY_ROWS, int(HISTORY_S / self.period_s))
        self.send(row(0.0, 0.0, self.noise))  # the stream's beginning
        for k in range(1, count):
            self.send(row(k * self.period_s + offset, 0.0, self.noise))
        self.synced_s = (count - 1) * self.period_s + offset + 1.0
        self.synced = time.monotonic()
        self.send(row(self.synced_s, 0.0, self.noise, humidity=999.0))  # a fault: it has been read
        while not self.said:
            time.sleep(0.02)

    def send(self, line: str) -> None:
        """Send one line."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        self.rows.append(line)
        self.last_row = time.monotonic()

    def live(self, heats: list[float]) -> None:
        """Send rows at the pace of their times."""
        begin = time.monotonic()
        for k, heat in enumerate(heats, 1):
            time.sleep(max(begin + k * self.period_s - time.monotonic(), 0.0))
            now_s = self.synced_s + time.monotonic() - self.synced
            self.send(row(now_s, heat, self.noise))

    def close(self) -> None:
        """End the stream."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(60)

    def delays(self) -> list[float]:
        """From the moment that each event names to its line. [s]"""
        live = [(at, event) for at, event in self.said if event["time_s"] > self.synced_s]
        return [at - self.synced - (event["time_s"] - self.synced_s) for at, event in live]

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.said.append((time.monotonic(), json.loads(line)))


def burn(pipe: Pipe) -> None:
    """A room that begins to burn."""
    before = BURNING_ROWS if pipe.period_s <= 10.0 else 0
    after = max(2, int(35.0 / pipe.period_s)) if pipe.period_s < 60.0 else 1
    pipe.live([0.0] * before + [40.0] * after)
    time.sleep(3.0)
    pipe.close()


def fall_silent(pipe: Pipe, wait_s: float) -> None:
    """A sensor that dies."""
    pipe.live([0.0] * 3)
    died = pipe.last_row
    while time.monotonic() < died + wait_s and not silences(pipe):
        time.sleep(0.1)
    pipe.close()


def silences(pipe: Pipe) -> list[float]:
    """From the last row to each fault of silence. [s]"""
    return [at - pipe.last_row for at, event in pipe.said if event.get("reason") == "silent"]


def as_in_file(pipe: Pipe) -> bool:
    """Whether a file of the same rows gives the first alarm at the same time."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.csv"
        path.write_text("\n".join(pipe.rows))
        done = subprocess.run(
            [*DETECT, pipe.run, str(path)], stdout=subprocess.PIPE, text=True, cwd=ROOT, check=True
        )
    said = [json.loads(line) for line in done.stdout.splitlines()]
    first = [
        next((e["time_s"] for e in events if e["event"] == "alarm"), None)
        for events in (said, [event for _, event in pipe.said])
    ]
    return first[0] is not None and first[0] == first[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", help="a run folder")
    parser.add_argument("--periods", type=float, nargs="+", default=[1.0, 10.0, 60.0, 300.0])
    parser.add_argument("--pipes", type=int, default=4, help="at each period, and silent ones")
    parser.add_argument("--no-silence", action="store_true")
    chosen = parser.parse_args()
    burning = [(period, burn) for period in chosen.periods for _ in range(chosen.pipes)]
    dying = [] if chosen.no_silence else [(SILENT_PERIOD_S, None)] * chosen.pipes
    pipes = [Pipe(chosen.run, period, k) for k, (period, _) in enumerate([*burning, *dying])]
    with ThreadPoolExecutor(len(pipes)) as pool:
        list(pool.map(Pipe.start, pipes))
        fires = [pool.submit(burn, pipe) for pipe in pipes[: len(burning)]]
        deaths = [pool.submit(fall_silent, pipe, 200.0) for pipe in pipes[len(burning) :]]
        for one in [*fires, *deaths]:
            one.result()
    figures: dict[str, float | None] = {}
    for period in chosen.periods:
        these = [pipe for pipe in pipes[: len(burning)] if pipe.period_s == period]
        delays = [delay for pipe in these for delay in pipe.delays()]
        figures[f"print_delay_{period:g}s_s"] = round(max(delays), 3) if delays else None
        print(
            f"period {period:g} s: {len(delays)} events, printed after at most {max(delays):.2f} s"
        )
    figures["print_delay_s"] = max(value or np.inf for value in figures.values())
    silent = [max(silences(pipe), default=np.inf) for pipe in pipes[len(burning) :]]
    if silent:
        figures["silence_said_s"] = round(max(silent), 3)
        print(f"silence said after at most {max(silent):.2f} s, of {len(silent)} sensors")
    figures["as_in_file"] = float(np.mean([as_in_file(pipe) for pipe in pipes[: len(burning)]]))
    print_last_line("live", figures, len(pipes))


if __name__ == "__main__":
    main()

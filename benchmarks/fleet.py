"""How many spaces one core watches, in how much memory, and how soon an alarm is told.

    python benchmarks/fleet.py RUN [--spaces 10000] [--hours 6 --day-spaces 50]

Four parts, each in a process of its own on one thread:

- `spaces_per_core`: readings of six channels every 10 s, judged and kept as fast as one core can.
- `live`: so many spaces by the real clock for a minute: percentiles from a reading's arrival until
  it is judged and kept, the core's load, and memory a space.
- `seconds`: the first two for sensors that report every second, 1,000 of them by the real clock.
- `mqtt`: 1,000 readings a second through a real mosquitto; from the reading that completes an
  alarm, as it is sent, until a listener has the alarm.
- `day`: simulated hours of spaces with words, lost and repeated rows, and one fire a space: each
  alarm once, and memory that stays. The whole (24 h of 1,000 spaces) takes over an hour:
  `--hours 24 --day-spaces 1000`; with `--day-period-s 60`, a reading a minute, a sixth of it.
"""

import argparse
import json
import multiprocessing
import os
import random
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path

from last_line import print_last_line

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
PERIOD_S = 10.0
MQTT_WAIT_S = 300.0  # for alarms that are late, on a machine that others use; then they are lost
COLUMNS = ("temperature_c", "pm25_ug_m3", "co2_ppm", "sound_db", "co_ppm", "humidity_pct")
CALM = (21.0, 7.0, 560.0, 40.0, 0.0, 45.0)
NOISE = (0.05, 0.6, 4.0, 1.0, 0.05, 0.1)


def cells(rng: random.Random, heat: float = 0.0) -> dict[str, str]:
    """Six readings of a calm room, or one that is so much warmer by a fire."""
    rise = (heat, 40.0 * heat, 60.0 * heat, 0.0, 2.0 * heat, 0.0)
    return {
        column: f"{abs(calm + rng.gauss(0.0, noise) + more):.2f}"
        for column, calm, noise, more in zip(COLUMNS, CALM, NOISE, rise, strict=True)
    }


def memory_mb() -> float:
    """Memory that this process holds now. [MB]"""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 1e6


def make_service(run: str, folder: str, clock_s=None):
    import torch

    import saafe
    from saafe.serving import Fleet, Notes, Service, Store

    torch.set_num_threads(1)
    model = saafe.load(run)
    model.score(__import__("numpy").zeros((512, 60, 1, 6), "float32"))  # warm
    return Service(Fleet(model), Store(Path(folder) / "s.sqlite"), Notes(lambda _t: None), clock_s)


def throughput(run: str, spaces: int, rounds: int, period_s: float = PERIOD_S) -> dict[str, float]:
    """Readings a CPU second through judging and keeping; memory a space, all histories full."""
    from saafe.serving import Arrival

    now = [1.7e9]
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        service = make_service(run, folder, lambda: now[0])
        before_mb = memory_mb()
        ready = [cells(rng) for _ in range(5000)]
        spent_s = 0.0
        for k in range(rounds):
            for at in range(0, spaces, 1000):
                now[0] += period_s / (spaces / 1000)
                part = [
                    Arrival(f"s{j}", "A", rng.choice(ready), now[0])
                    for j in range(at, min(at + 1000, spaces))
                ]
                begun = time.process_time()
                events = service.fleet.take(part) + service.fleet.tick(now[0])
                service.store.commit(part, events)
                if k >= rounds // 2:  # the spaces are there
                    spent_s += time.process_time() - begun
        readings = spaces * (rounds - rounds // 2)
        return {
            "spaces_per_core": round(readings / spent_s * period_s),
            "cpu_us_per_reading": round(1e6 * spent_s / readings, 1),
            "memory_kb_per_space": round(1e3 * (memory_mb() - before_mb) / spaces, 1),
        }


def live(run: str, spaces: int, seconds: float, period_s: float = PERIOD_S) -> dict[str, float]:
    """So many spaces by the real clock: latency, load and memory."""
    import numpy as np

    from saafe.serving import Arrival

    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})  # one core for it and its feeder
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        service = make_service(run, folder)
        before_mb = memory_mb()
        service.start()
        ready = [cells(rng) for _ in range(5000)]
        took: list[float] = []
        begun, cpu = time.monotonic(), time.process_time()
        sent, refused = 0, 0
        while (since_s := time.monotonic() - begun) < seconds:
            due = int(since_s * spaces / period_s)
            for number in range(sent, due):
                came = service.clock_s()
                one = Arrival(f"s{number % spaces}", "A", ready[number % 5000], came)

                def done(_why: str, came: float = came) -> None:
                    took.append(service.clock_s() - came)

                refused += not service.offer(one, done)
            sent = max(sent, due)
            time.sleep(0.01)
        cpu = time.process_time() - cpu
        service.stop()
        late = np.array(took[len(took) // 3 :]) * 1e3  # the first third makes the spaces
        return {
            "live_spaces": spaces,
            "live_readings": len(took),
            "live_refused": refused,
            "live_core_share": round(cpu / (time.monotonic() - begun), 3),
            "live_p50_ms": round(float(np.percentile(late, 50)), 1),
            "live_p95_ms": round(float(np.percentile(late, 95)), 1),
            "live_p99_ms": round(float(np.percentile(late, 99)), 1),
            "live_memory_mb": round(memory_mb() - before_mb, 1),
        }


def mqtt(run: str, per_s: int, seconds: float) -> dict[str, float]:
    """From the reading that completes an alarm until a listener has the alarm."""
    import numpy as np

    sys.path.insert(0, str(ROOT / "tests"))
    from serving_fixtures import Client, Mosquitto, Process, processes

    spaces = int(per_s * PERIOD_S)
    rng = random.Random(0)
    heard: dict[str, tuple[float, float]] = {}  # when, and the time of the reading that alarmed
    with tempfile.TemporaryDirectory() as text, processes() as running:
        folder = Path(text)
        broker = Mosquitto(folder / "broker", saves_all=False)
        try:
            running.append(Process("detect", run, f"mqtt://127.0.0.1:{broker.port}", "--preset",
                                   "json", "--discovery", "", cwd=folder))  # fmt: skip
            running[0].said("connected", 120.0)
            listener = Client(broker.port, "listener", ("saafe/spaces/+/event",))

            def note(_client, _data, message) -> None:
                event = json.loads(message.payload)
                if event["event"] == "alarm":
                    heard.setdefault(event["space"], (time.monotonic(), event["time_s"]))

            listener.client.on_message = note
            sender = Client(broker.port, "sender")
            sent: dict[str, dict[float, float]] = {}  # when, of each hot reading's own time
            begun, begin = time.monotonic(), 0
            while (since_s := time.monotonic() - begun) < seconds:
                now = int(since_s * per_s)
                for number in range(begin, now):
                    k, j = divmod(number, spaces)
                    burning = k >= 2 and j % 97 == 0
                    payload = cells(rng, 45.0 if burning else 0.0)
                    sender.send(f"readings/s{j}", {**payload, "time_s": PERIOD_S * k})
                    if burning:
                        sent.setdefault(f"s{j}", {})[PERIOD_S * k] = time.monotonic()
                begin = max(begin, now)
                time.sleep(0.002)
            due = {name for name, times in sent.items() if len(times) > 1}
            until = time.monotonic() + MQTT_WAIT_S
            while due - heard.keys() and time.monotonic() < until:
                time.sleep(0.1)
            for one in (listener, sender):
                one.close()
        finally:
            broker.kill()
    # not from the newest reading: where alarms are late, more have come since
    took = [
        1e3 * (at - max(when for t, when in sent[name].items() if t <= time_s and when <= at))
        for name, (at, time_s) in heard.items()
    ]
    return {
        "mqtt_per_s": per_s,
        "mqtt_alarms": len(heard),
        "mqtt_alarms_lost": len(due - heard.keys()),
        "mqtt_p50_ms": round(float(np.percentile(took, 50)), 1) if took else float("nan"),
        "mqtt_p99_ms": round(float(np.percentile(took, 99)), 1) if took else float("nan"),
    }  # fmt: skip


def day(run: str, spaces: int, hours: float, period_s: float = PERIOD_S) -> dict[str, float]:
    """Simulated hours with faults injected: each alarm once, and memory that stays."""
    from saafe.serving import Arrival

    now = [1.7e9]
    rng = random.Random(0)
    steps = int(hours * 3600.0 / period_s)
    fire = [rng.randrange(steps // 8, steps - 200) for _ in range(spaces)]
    alarms: dict[str, list[int]] = {f"s{j}": [] for j in range(spaces)}
    memory: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        service = make_service(run, folder, lambda: now[0])
        for k in range(steps):
            now[0] += period_s
            part = []
            for j in range(spaces):
                since = k - fire[j]
                heat = min(2.0 * since, 60.0) if 0 <= since < 60 else 0.0
                chance = rng.random()
                if chance < 0.02:
                    continue  # lost
                row = cells(rng, heat)
                if chance < 0.04:
                    row[rng.choice(COLUMNS)] = rng.choice(["unavailable", "nan", "65535", "x", ""])
                part.append(Arrival(f"s{j}", "A", row, now[0]))
                if chance > 0.99:
                    part.append(part[-1])  # twice
            events = service.fleet.take(part) + service.fleet.tick(now[0])
            for event in service.store.commit(part, events):
                if event["event"] == "alarm":
                    alarms[event["space"]].append(k)
            if k % 6 == 0:
                service.store.forget(now[0])
            if k % 90 == 0:
                memory.append(memory_mb())
        kept = sum(e["event"] == "alarm" for e in service.store.events(limit=10**6))
    found = [sum(0 <= k - fire[j] < 70 for k in alarms[f"s{j}"]) for j in range(spaces)]
    return {
        "day_hours": hours,
        "day_spaces": spaces,
        "day_period_s": period_s,
        "day_fires_lost": sum(n == 0 for n in found),
        "day_fires_doubled": sum(n > 1 for n in found),
        "day_alarms_kept_and_said_differ": abs(kept - sum(map(len, alarms.values()))),
        "day_memory_mb_at_third": round(memory[len(memory) // 3], 1),
        "day_memory_mb_at_end": round(memory[-1], 1),
    }


def in_process(work, *words) -> dict[str, float]:
    """The figures of a part, in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(work, words)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("run", type=os.path.abspath, help="a run folder or an exported file")
    parser.add_argument("--spaces", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=60.0, help="of the live parts")
    parser.add_argument("--per-s", type=int, default=1000, help="readings a second over MQTT")
    parser.add_argument("--day-spaces", type=int, default=50)
    parser.add_argument("--hours", type=float, default=6.0)
    parser.add_argument("--day-period-s", type=float, default=PERIOD_S)
    parser.add_argument("--runs", type=int, default=3, help="of spaces_per_core, the median counts")
    parser.add_argument("--only", choices=["throughput", "live", "seconds", "mqtt", "day"])
    chosen = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    figures: dict[str, float] = {}
    if chosen.only in (None, "throughput"):
        runs = [in_process(throughput, chosen.run, 1000, 20) for _ in range(chosen.runs)]
        runs.sort(key=lambda one: one["spaces_per_core"])
        figures |= runs[len(runs) // 2]
        figures["spaces_per_core_lowest"] = runs[0]["spaces_per_core"]
        figures["spaces_per_core_highest"] = runs[-1]["spaces_per_core"]
        full = in_process(throughput, chosen.run, 200, 250)  # every list at its full length
        figures["memory_kb_per_space"] = full["memory_kb_per_space"]
    if chosen.only in (None, "live"):
        figures |= in_process(live, chosen.run, chosen.spaces, chosen.seconds)
    if chosen.only in (None, "seconds"):
        runs = [in_process(throughput, chosen.run, 1000, 60, 1.0) for _ in range(chosen.runs)]
        rates = sorted(one["spaces_per_core"] for one in runs)
        figures["sensors_of_1s_per_core"] = rates[len(rates) // 2]
        figures["sensors_of_1s_per_core_lowest"] = rates[0]
        found = in_process(live, chosen.run, 1000, chosen.seconds, 1.0)
        figures |= {name.replace("live", "live_1s"): value for name, value in found.items()}
    if chosen.only in (None, "mqtt") and shutil.which(
        "mosquitto", path=os.environ["PATH"] + ":/usr/sbin"
    ):
        figures |= in_process(mqtt, chosen.run, chosen.per_s, chosen.seconds)
    if chosen.only in (None, "day"):
        figures |= in_process(day, chosen.run, chosen.day_spaces, chosen.hours, chosen.day_period_s)
    for name, value in figures.items():
        print(f"{name:34} {value:,}")
    print_last_line("fleet", figures, chosen.runs)


if __name__ == "__main__":
    main()

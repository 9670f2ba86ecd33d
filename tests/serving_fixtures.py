"""A real broker that can be killed, a run that only the fixed rules alarm on, and listeners."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import paho.mqtt.client as paho
import pytest
import torch
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from saafe.detector import AlarmSettings, Scorer
from saafe.recipes import changed, find_tier
from saafe.serving import service
from saafe.training import runs
from saafe.training.model import FireTransformer

ROOT = Path(__file__).parents[1]
MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
needs_mosquitto = pytest.mark.skipif(
    MOSQUITTO is None, reason="needs the broker: apt-get install mosquitto"
)
NEVER = AlarmSettings(fast=99.0, slow=99.0, steady=99.0, warn=99.0, leave=50.0)
CALM = Scorer(lambda windows: np.zeros(len(windows)), AlarmSettings())


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def eventually(claim: Callable[[], Any], within_s: float = 20.0) -> Any:
    """What a claim gives once it is true; it must become so."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if found := claim():
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {within_s} s")


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service looks every second whether it shall stop, of which tests would wait for hundreds.

    It counts for all tests of a file that imports it.
    """
    monkeypatch.setattr(service, "LONGEST_REST_S", 0.02)


class Mosquitto:
    """A broker of our own."""

    def __init__(self, folder: Path, *lines: str, saves_all: bool = True) -> None:
        """With `saves_all` it writes its whole file at every change: safe, and slow."""
        autosave = "autosave_interval 1\nautosave_on_changes true" if saves_all else ""
        self.port, self.folder = free_port(), folder
        folder.mkdir(parents=True, exist_ok=True)
        user = ["user root"] if os.getuid() == 0 else []
        self.config = folder / "mosquitto.conf"
        self.config.write_text(
            "\n".join([
                f"listener {self.port} 127.0.0.1", *(lines or ["allow_anonymous true"]), *user,
                "persistence true", f"persistence_location {folder}/", autosave,
                "max_inflight_messages 1000",
                "max_queued_messages 0", "",
            ])
        )  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        assert MOSQUITTO
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [MOSQUITTO, "-c", self.config], stdout=log, stderr=subprocess.STDOUT
            )
        eventually(self.answers)

    def answers(self) -> bool:
        with socket.socket() as one:
            return one.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self, number: int = signal.SIGKILL) -> None:
        assert self.process
        self.process.send_signal(number)
        self.process.wait(10)


class Client:
    """Somebody else at the broker, who also outlives its outages."""

    def __init__(self, port: int, name: str, topics: tuple[str, ...] = ()) -> None:
        self.came: list[tuple[str, bytes, bool]] = []
        self.is_ready = False
        self.client = paho.Client(CallbackAPIVersion.VERSION2, name, protocol=paho.MQTTv5)
        self.client.reconnect_delay_set(1, 1)
        self.client.on_message = lambda _c, _d, m: self.came.append((m.topic, m.payload, m.retain))

        def connected(client: paho.Client, *_: Any) -> None:
            for topic in topics:
                client.subscribe(topic, 1)
            self.is_ready = True

        self.client.on_connect = connected
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3600
        self.client.connect("127.0.0.1", port, 10, clean_start=False, properties=properties)
        self.client.loop_start()
        eventually(lambda: self.is_ready)
        time.sleep(0.2)  # until the broker has the subscriptions

    def send(self, topic: str, payload: Any, *, retain: bool = False) -> paho.MQTTMessageInfo:
        text = payload if isinstance(payload, str | bytes) else json.dumps(payload)
        return self.client.publish(topic, text, 1, retain)

    def events(self) -> list[dict]:
        return [json.loads(p) for t, p, _ in self.came if t.endswith("/event")]

    def last(self, topic: str) -> bytes | None:
        return next((p for t, p, _ in reversed(self.came) if t == topic), None)

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()
        self.client.on_message = self.client.on_connect = None  # else its sockets wait for the gc


def save_run(folder: Path) -> Path:
    """A run of fresh weights whose model never alarms: the fixed rules alone do."""
    torch.manual_seed(0)
    recipe = changed(find_tier("ultra-fast"), ("width=16", "layers=1", "heads=2"))
    made = runs.new_folder(folder, "run", recipe)
    runs.save_model(made, recipe, FireTransformer(recipe), NEVER)
    return made


class Process:
    """A `saafe` command that runs until it is ended."""

    def __init__(self, *words: object, cwd: Path) -> None:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        self.out, self.err = cwd / f"out{time.monotonic_ns()}", cwd / f"err{time.monotonic_ns()}"
        with self.out.open("w") as out, self.err.open("w") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "saafe", *map(str, words)],
                stdout=out, stderr=err, cwd=cwd, env=environment,
            )  # fmt: skip

    def said(self, text: str, within_s: float = 60.0) -> str:
        """Wait until stderr has a text; all of it."""

        def found() -> str:
            came = self.err.read_text()
            assert self.process.poll() is None, came
            return came if text in came else ""

        return eventually(found, within_s)

    def events(self) -> list[dict]:
        return [json.loads(line) for line in self.out.read_text().splitlines()]

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


@contextmanager
def processes() -> Iterator[list[Process]]:
    """Processes that are ended whatever happens."""
    running: list[Process] = []
    try:
        yield running
    finally:
        for one in running:
            if one.process.poll() is None:
                one.process.kill()
                one.process.wait(10)

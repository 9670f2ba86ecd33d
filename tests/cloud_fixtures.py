"""Fixtures of the cloud tests: one emulator a process, and clients that do not wait long."""

import pytest
from cloud_stub import write_stub

from saafe.cloud.emulator.emulator import Emulator
from saafe.cloud.ledger import Ledger
from saafe.cloud.sagemaker import Cloud


@pytest.fixture(scope="session")
def emulator(tmp_path_factory):
    emulator = Emulator(tmp_path_factory.mktemp("emulator")).start()
    emulator.region_state.pace_s, emulator.region_state.grace_s = 0.02, 2.0
    yield emulator
    emulator.close()


@pytest.fixture
def stub(tmp_path):
    return write_stub(tmp_path / "source")


@pytest.fixture
def slow_stub(tmp_path):
    return write_stub(tmp_path / "source", epochs=600, pause=0.1)


@pytest.fixture
def cloud(emulator, tmp_path):
    notes = []
    cloud = Cloud(emulator.aws(waits_s=(0.01,) * 4), Ledger(tmp_path / "runs"), "emulator")
    cloud.on_message = notes.append
    cloud.notes, cloud.emulator = notes, emulator
    yield cloud
    emulator.faults.clear()
    emulator.quotas.clear()
    emulator.region_state.no_capacity.clear()
    emulator.region_state.interruptions, emulator.region_state.hurry = 0, 1.0

"""What a process that takes part in MQTT is told."""

import zlib
from dataclasses import dataclass, field

from saafe.serving.payloads import Units
from saafe.serving.topics import Topics


@dataclass(frozen=True)
class MqttOptions:
    """How a process takes part in MQTT."""

    topics: Topics
    units: Units = field(default_factory=dict)
    base: str = "saafe"  # of our own topics
    discovery: str = "homeassistant"  # Home Assistant's prefix, "" for none
    name: str = "saafe"  # of the client
    worker: int = 1  # this one, of so many
    workers: int = 1

    @property
    def status(self) -> str:
        """The topic that says whether this process lives."""
        return f"{self.base}/status" + (f"/{self.worker}" if self.workers > 1 else "")

    @property
    def inbox(self) -> str:
        """Where other workers send what is this one's."""
        return f"{self.base}/worker/{self.worker}/"

    def filters(self) -> list[str]:
        """What to subscribe to; of several workers each message goes to one."""
        share = "$share/saafe/" if self.workers > 1 else ""
        own = [f"{self.inbox}#"] if self.workers > 1 else []
        return [
            *(share + text for text in self.topics.filters),
            *own,
            f"{self.base}/spaces/+/acknowledge",
        ]

    def owner(self, space: str) -> int:
        """Which worker watches a space: always the same one."""
        return zlib.crc32(space.encode()) % self.workers + 1

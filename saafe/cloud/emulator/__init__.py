"""A local AWS endpoint on which launches are rehearsed for $0."""

from saafe.cloud.emulator import endpoint

__all__ = [
    "endpoint",
]  # fmt: skip

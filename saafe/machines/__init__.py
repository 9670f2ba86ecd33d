"""Many recordings and many machines: archives on disks or in S3, and workers by dask."""

from saafe.machines.archive import Outcome, Tally, Wish, events_of_archive, work_here
from saafe.machines.places import Source, find_sources, open_place, sources_of
from saafe.machines.objects import is_s3
from saafe.machines.remote import outcomes_on, shards_on

__all__ = [
    "Outcome", "Source", "Tally", "Wish", "events_of_archive", "find_sources", "is_s3",
    "open_place", "outcomes_on", "shards_on", "sources_of", "work_here",
]  # fmt: skip

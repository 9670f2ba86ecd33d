"""A detector for the user's own rooms: tuned on their recordings, judged on days held out."""

from saafe.own_rooms.rooms import OwnRooms, read_rooms
from saafe.own_rooms.tuned_run import (
    check_asked, check_without, note_asked, train_on_rooms, tune, tune_in, tuned_name,
)  # fmt: skip

__all__ = [
    "OwnRooms",
    "check_asked",
    "check_without",
    "note_asked",
    "read_rooms",
    "train_on_rooms",
    "tune",
    "tune_in",
    "tuned_name",
]  # fmt: skip

"""The web application: readings in, state and events out, and a page that shows them."""

import asyncio
import re
import sqlite3
import threading
from collections import deque
from collections.abc import AsyncIterator
from contextlib import suppress
from importlib.resources import files
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Header, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.exceptions import HTTPException

from saafe import __version__
from saafe.files import json_text
from saafe.sensors import CHANNEL_NAMES
from saafe.serving import views
from saafe.serving.fleet import LONGEST_NAME, Arrival, WatchedSpace
from saafe.serving.guard import Guard
from saafe.serving.payloads import Units, read_object
from saafe.serving.quiet import QuietDays
from saafe.serving.service import Service

PAGE_FILES = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "chart.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
MOST_READINGS = 1000  # of one request
UNKNOWN_CHANNELS = (
    f"no channel that is known; allowed: {', '.join(CHANNEL_NAMES)}, by any usual name"
)
TAKEN_WITHIN_S = 30.0
MOST_STREAMS = 100  # of events at once
LARGEST_ID = 2**63 - 1  # of an event, as SQLite counts
_DIGITS = re.compile(r"[0-9]{1,19}")  # of such an ID
KEEP_ALIVE_S, LOOK_UP_S = 15.0, 0.5
WAITING_EVENTS = 1000  # a listener that falls further behind asks again

Name = Annotated[str, Path(min_length=1, max_length=LONGEST_NAME)]
# a name may hold slashes; what follows it stands in routes of their own, before the bare one


class Posted(BaseModel):
    """Readings of one sensor at one moment: channels by any usual name, beside these.

    Such as `{"space": "kitchen", "temperature": 21.5, "pm25": 7}`.
    """

    model_config = ConfigDict(extra="allow")
    space: str = Field(min_length=1, max_length=LONGEST_NAME)
    sensor: str = Field("A", min_length=1, max_length=LONGEST_NAME)
    time_s: float | None = Field(None, description="Seconds since 1970; by default now.")


# of a list one that cannot be used is refused alone
PostedOne = Annotated[Posted | dict[str, Any], Field(union_mode="left_to_right")]


class Taken(BaseModel):
    """What became of posted readings."""

    taken: int
    refused: list[dict[str, Any]] = Field(description="`index` and `error` of each that was not.")


def make_application(service: Service, *, token: str | None, units: Units | None = None) -> Guard:
    """The application of a service.

    Args:
        service: that is watched; the caller starts and stops it.
        token: that requests must carry, None where only this machine may ask.
        units: of posted channels whose name tells none.
    """
    app = FastAPI(
        title="saafe", version=__version__, docs_url=None, redoc_url=None,
        description="Readings of cheap sensors in, fire alarms out.",
    )  # fmt: skip
    told = Told()
    service.listeners.append(told.tell)
    add_answers_to_failures(app)
    add_readings(app, service, units or {})
    add_state(app, service)
    add_orders(app, service)
    add_health(app, service)
    add_quiet(app, service)
    add_events(app, service, told)
    add_page(app)
    return Guard(app, token)


def add_answers_to_failures(app: FastAPI) -> None:
    """One line for every failure, and nothing of our inside."""

    @app.exception_handler(RequestValidationError)
    async def _wrong(_request: Request, error: RequestValidationError) -> JSONResponse:
        if isinstance(error.body, bytes):  # as it came: nobody said that it is JSON
            return JSONResponse(
                {"error": "body: send JSON, and Content-Type: application/json"}, 422
            )
        found = error.errors()
        if isinstance(error.body, list):  # not what is wrong with a list as one reading
            found = [one for one in found if "Posted" not in one["loc"][:2]] or found
        return JSONResponse({"error": what_is_wrong(found[0])}, 422)

    @app.exception_handler(HTTPException)
    async def _refused(_request: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"error": error.detail}, error.status_code, headers=error.headers)

    @app.exception_handler(Exception)
    async def _failed(_request: Request, _error: Exception) -> JSONResponse:
        return JSONResponse({"error": "an internal error; see the server's log"}, 500)


def what_is_wrong(found: Any) -> str:
    """One line of an error of pydantic's."""
    kinds = ("body", "query", "header", "path", "Posted")
    parts = [str(part) for part in found["loc"] if part not in kinds and "[" not in str(part)]
    where = "" if found["type"] == "json_invalid" else ".".join(parts)  # a place in the text
    return f"{where or 'body'}: {found['msg']}"


def why_unusable(one: dict[str, Any]) -> str:
    """What is wrong with a reading of a list; "" for nothing."""
    try:
        Posted.model_validate(one)
    except ValidationError as error:
        return what_is_wrong(error.errors()[0])
    return ""


def add_readings(app: FastAPI, service: Service, units: Units) -> None:
    """POST /readings."""

    @app.post("/readings", status_code=202, response_model=Taken)
    def post_readings(posted: Posted | list[PostedOne]) -> Any:
        """Give readings to the detector. They are kept once this has been answered."""
        if service.failed or service.is_stopping.is_set():
            raise HTTPException(503, "the service is stopping", {"Retry-After": "5"})
        many = posted if isinstance(posted, list) else [posted]
        if len(many) > MOST_READINGS:
            raise HTTPException(413, f"too many readings; allowed: {MOST_READINGS} a request")
        waits, refused = Waits(), []
        for index, one in enumerate(many):
            if isinstance(one, dict):
                waits.done(index, why_unusable(one))
                continue
            cells = read_object(one.model_extra or {}, units)
            if not cells:
                waits.done(index, UNKNOWN_CHANNELS)
                continue
            if one.time_s is not None:
                cells["time_s"] = repr(one.time_s)
            reading = Arrival(one.space, one.sensor, cells, service.clock_s())
            if not service.offer(reading, lambda why, k=index: waits.done(k, why)):
                waits.done(index, "behind")
        waits.wait(len(many))
        for index in range(len(many)):
            if why := waits.said.get(index, "behind"):
                refused.append({"index": index, "error": why})
        if len(refused) == len(many) and many:
            if all(one["error"] == "behind" for one in refused):
                raise HTTPException(503, service.behind_text(), {"Retry-After": "5"})
            raise HTTPException(422, f"readings: {refused[0]['error']}")
        return {"taken": len(many) - len(refused), "refused": refused}


class Waits:
    """What became of the readings of one request, as the watching thread says it."""

    def __init__(self) -> None:
        """Wait for nothing yet."""
        self.said: dict[int, str] = {}
        self.changed = threading.Condition()

    def done(self, index: int, why: str) -> None:
        """One was taken, or refused for a reason."""
        with self.changed:
            self.said[index] = why
            self.changed.notify()

    def wait(self, count: int) -> None:
        """Wait until so many are known, for a while."""
        with self.changed:
            self.changed.wait_for(lambda: len(self.said) >= count, TAKEN_WITHIN_S)


def find_space(service: Service, name: str) -> WatchedSpace:
    """A space that is watched, or 404; to be called while the fleet does nothing else."""
    if name not in service.fleet.spaces:
        raise HTTPException(404, f"no space {name!r}")
    return service.fleet.spaces[name]


def add_state(app: FastAPI, service: Service) -> None:
    """What is known of spaces."""

    @app.get("/spaces")
    def list_spaces(
        like: Annotated[str, Query(max_length=LONGEST_NAME)] = "",
        offset: Annotated[int, Query(ge=0)] = 0,
        limit: Annotated[int, Query(ge=1, le=500)] = 60,
    ) -> Any:
        """Spaces, the most urgent first; `like` is a part of their names.

        Of the spaces that `counts` says are calm, `acknowledged` had an alarm a while ago.
        """
        with service.lock:
            every, now_s = list(service.fleet.spaces.values()), service.clock_s()
            found = views.ordered((s for s in every if like.casefold() in s.name.casefold()), now_s)
            counts: dict[str, int] = dict.fromkeys(views.URGENCIES, 0)
            for space in every:
                counts[views.urgency_of(space)] += 1
            calm = (space for space in every if views.urgency_of(space) == "calm")
            part = found[offset : offset + limit]
            return {
                "total": len(found),
                "counts": counts,
                "acknowledged": sum(views.is_hushed(space, now_s) for space in calm),
                "spaces": [views.summary(space, now_s) for space in part],
            }

    @app.get("/spaces/{name:path}/history")
    def get_history(name: Name) -> Any:
        """Its last two hours: risk, and what each channel read."""
        with service.lock:
            return views.history(find_space(service, name), service.clock_s())

    @app.get("/spaces/{name:path}")
    def get_space(name: Name) -> Any:
        """One space: state, risk, faults, last readings."""
        with service.lock:
            return views.summary(find_space(service, name), service.clock_s())


def add_orders(app: FastAPI, service: Service) -> None:
    """What a person does with a space."""

    @app.post("/spaces/{name:path}/acknowledge")
    def acknowledge(name: Name) -> Any:
        """A person has seen to the alarm: it clears, and the model is hushed for ten minutes.

        `acknowledged` is false where nothing was raised: then nothing changes.
        """
        with service.lock:
            before_s = find_space(service, name).detector.space.hushed_until_s
        waits = Waits()
        one = Arrival(name, "-", {}, service.clock_s(), is_acknowledgement=True)
        if not service.offer(one, lambda why: waits.done(0, why), wait_s=5.0):
            raise HTTPException(503, service.behind_text(), {"Retry-After": "5"})
        waits.wait(1)
        with service.lock:
            space = find_space(service, name)
            is_new = space.detector.space.hushed_until_s > before_s
            return {"acknowledged": is_new, **views.summary(space, service.clock_s())}

    @app.delete("/spaces/{name:path}")
    def forget(name: Name) -> Any:
        """Take a space away, with its events and readings. A sensor that still sends it brings it.

        What a broker keeps of it goes too. Files of its days (`--keep`) stay.
        """
        with service.lock:
            find_space(service, name)
        waits = Waits()
        service.forget(name, lambda why: waits.done(0, why))
        waits.wait(1)
        if why := waits.said.get(0, service.behind_text()):
            raise HTTPException(503, why, {"Retry-After": "5"})
        return {"forgotten": name}


def add_health(app: FastAPI, service: Service) -> None:
    """What is known of the service, and its figures."""

    @app.get("/health")
    def health() -> Any:
        """Whether it watches: 200, or 503 and why not."""
        troubles = [service.trouble] if service.trouble else []
        troubles += [service.behind_text()] if service.is_behind else []
        troubles += [service.quiet.trouble] if service.quiet and service.quiet.trouble else []
        is_dead = service.failed is not None or not service.thread.is_alive()
        troubles += ["the watching thread has ended"] if is_dead else []
        troubles += filter(None, (trouble() for trouble in service.troubles))
        body = {
            "status": "ok" if not troubles else "trouble",
            "troubles": troubles,
            "spaces": len(service.fleet.spaces),
            "waiting": service.waiting.qsize(),
            "keeps_days": service.quiet is not None,
            "version": __version__,
        }
        return JSONResponse(body, 503 if troubles else 200)

    @app.get("/notes")
    def notes() -> Any:
        """What the service has said on stderr of late, the newest first."""
        return [{"time_s": round(at, 1), "text": text} for at, text in reversed(service.notes.last)]

    @app.get("/metrics")
    def metrics() -> Response:
        """Figures for Prometheus."""
        return Response(service.counters.text(), media_type="text/plain; version=0.0.4")


class Verdict(BaseModel):
    """What an alarm or a warning was."""

    was: Literal["harmless", "fire"]


def add_quiet(app: FastAPI, service: Service) -> None:
    """What the kept days leave out, and what a person says of it."""

    def kept() -> QuietDays:
        if service.quiet is None:
            raise HTTPException(404, "no days are kept; start it with --keep FOLDER")
        return service.quiet

    @app.get("/raised")
    def list_raised() -> Any:
        """Alarms and warnings whose hours are left out of what `saafe tune` learns from."""
        return kept().marks()

    @app.post("/raised/{number}")
    def judge(number: str, verdict: Verdict) -> Any:
        """Say what one was. `saafe tune` learns from the hours around what was `harmless`."""
        days = kept()
        try:  # int() alone would also take "1_0", " 1", "+1" and digits of any script
            found = days.say(int(number), verdict.was) if _DIGITS.fullmatch(number) else None
        except sqlite3.Error as error:
            raise HTTPException(503, f"cannot be written ({error})") from None
        if found is None:
            raise HTTPException(404, f"no alarm or warning {number[:20]!r}")
        return found


class Told:
    """Listeners to events, each with a queue on the web server's loop."""

    def __init__(self) -> None:
        """Begin with no listener."""
        self.queues: dict[asyncio.Queue[dict | None], asyncio.AbstractEventLoop] = {}

    def tell(self, events: list[dict]) -> None:
        """Pass events on, from any thread."""
        for one, loop in list(self.queues.items()):
            with suppress(RuntimeError):  # the web server has just ended; the watching goes on
                loop.call_soon_threadsafe(put_all, one, events)


def put_all(one: asyncio.Queue[dict | None], events: list[dict]) -> None:
    """Put events in a queue; a full one ends with None, and its listener asks for the rest."""
    for event in events:
        if one.qsize() > WAITING_EVENTS:
            return
        one.put_nowait(event if one.qsize() < WAITING_EVENTS else None)


def add_events(app: FastAPI, service: Service, told: Told) -> None:
    """Events that were, and events as they come."""

    @app.get("/events")
    def list_events(
        after: Annotated[int, Query(ge=0, le=LARGEST_ID)] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
        space: Annotated[str | None, Query(max_length=LONGEST_NAME)] = None,
        newest: bool = False,
        each_kind: bool = False,
    ) -> Any:
        """Events after a number, the oldest first; or the `newest`, the newest first.

        With `each_kind` the newest of each kind, up to the limit: many faults hide no alarm.
        """
        if each_kind:
            return service.store.newest_of_each_kind(after=after, limit=limit, space=space)
        return service.store.events(after=after, limit=limit, space=space, newest=newest)

    @app.get("/events/stream", response_class=StreamingResponse)
    async def stream_events(
        last_event_id: Annotated[int | None, Header(ge=0, le=LARGEST_ID)] = None,
    ) -> Any:
        """Server-sent events. With the header `Last-Event-ID` none after it is missed."""
        if len(told.queues) >= MOST_STREAMS:
            raise HTTPException(503, f"too many listeners; allowed: {MOST_STREAMS}")
        return StreamingResponse(events_from(last_event_id), media_type="text/event-stream")

    async def events_from(last: int | None) -> AsyncIterator[str]:
        one: asyncio.Queue[dict | None] = asyncio.Queue()  # `put_all` limits it
        told.queues[one] = asyncio.get_running_loop()
        try:
            yield ": saafe\n\n"
            said: deque[int] = deque(maxlen=WAITING_EVENTS)
            while last is not None:
                part = await asyncio.to_thread(service.store.events, after=last, limit=500)
                for event in part:
                    said.append(event["id"])
                    yield as_sent(event)
                last = part[-1]["id"] if part else None
            silent_s = 0.0
            while not service.is_stopping.is_set():
                try:
                    event = await asyncio.wait_for(one.get(), LOOK_UP_S)
                except TimeoutError:
                    silent_s += LOOK_UP_S
                    if silent_s >= KEEP_ALIVE_S:
                        silent_s = 0.0
                        yield ": still here\n\n"
                    continue
                if event is None:  # too slow: the connection ends, and the client asks for the rest
                    return
                if event.get("id") not in said:
                    yield as_sent(event)
        finally:
            told.queues.pop(one, None)


def as_sent(event: dict) -> str:
    """One event as server-sent events write it."""
    number = f"id: {event['id']}\n" if "id" in event else ""
    return f"{number}event: {event['event']}\ndata: {json_text(event)}\n\n"


def add_page(app: FastAPI) -> None:
    """The page, whose files are all in the package."""
    folder = files("saafe.serving") / "page"
    whole = {name: (folder / name).read_bytes() for name in ("page.html", *PAGE_FILES)}

    @app.get("/", include_in_schema=False)
    def page() -> Response:
        return Response(whole["page.html"], media_type="text/html")

    @app.get("/page/{name}", include_in_schema=False)
    def part(name: str) -> Response:
        if name not in PAGE_FILES:
            raise HTTPException(404, "no such file")
        return Response(whole[name], media_type=PAGE_FILES[name])

"""`saafe serve`, and `saafe detect MODEL mqtt://HOST`."""

import importlib.util
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from saafe.cli.output import print_events, print_json
from saafe.cli.reading import ExportOptions, load_for, units_of
from saafe.errors import InputError

if TYPE_CHECKING:
    from saafe.serving import Broker, MqttLink, MqttOptions, Service

Function = TypeVar("Function", bound=Callable[..., Any])
FILE = click.Path(path_type=Path, dir_okay=False)
STATE, KEEP_DAYS = "saafe.sqlite", 30
MQTT_OPTIONS = (
    click.option("--topic", "topics", metavar="PATTERN", multiple=True,
                 help="MQTT topic with {space}, {sensor}, {channel}."),
    click.option("--password-file", type=FILE, metavar="FILE", help="MQTT password, first line."),
    click.option("--ca", type=FILE, metavar="FILE", help="Certificates that sign the broker's."),
    click.option("--cert", type=FILE, metavar="FILE", help="Our certificate for the broker."),
    click.option("--key", type=FILE, metavar="FILE", help="Its key, if in a file of its own."),
    click.option("--state", type=FILE, metavar="FILE", default=STATE, show_default=True,
                 help="Where MQTT and serve keep events and readings."),
    click.option("--base", metavar="TOPIC", default="saafe", show_default=True,
                 help="MQTT topics of our own begin so."),
    click.option("--discovery", metavar="PREFIX", default="homeassistant", show_default=True,
                 help="Home Assistant's MQTT prefix, '' for none."),
    click.option("--keep", type=click.Path(path_type=Path, file_okay=False), metavar="FOLDER",
                 help="MQTT and serve: keep quiet days there, for saafe tune --on."),
    click.option("--keep-days", type=click.IntRange(1, 1000), default=KEEP_DAYS, show_default=True,
                 help="How many days of each space are kept."),
    click.option("--worker", metavar="K/N", default="1/1", help="One of N that share the spaces."),
)  # fmt: skip


def mqtt_options(command: Function) -> Function:
    """Add the options that say how MQTT is used."""
    for option in reversed(MQTT_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True)
class ServingOptions:
    """What `mqtt_options` said."""

    topics: tuple[str, ...]
    password_file: Path | None
    ca: Path | None
    cert: Path | None
    key: Path | None
    state: Path
    base: str
    discovery: str
    keep: Path | None
    keep_days: int
    worker: str

    @classmethod
    def take_from(cls, given: dict[str, Any]) -> "ServingOptions":
        """Take them out of all that a command was given."""
        return cls(**{one.name: given.pop(one.name) for one in fields(cls)})

    @property
    def uses_mqtt(self) -> bool:
        """Whether any was given that is of use with a broker alone."""
        files = (self.password_file, self.ca, self.cert, self.key)
        return bool(self.topics or any(files) or self.worker != "1/1")


@click.command("serve")
@click.argument("model", required=False)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True,
              help="Port to listen at; 0 takes a free one.")  # fmt: skip
@click.option("--token-file", type=FILE, metavar="FILE",
              help="Token that requests must carry, first line.")  # fmt: skip
@click.option("--mqtt", "url", metavar="URL", help="Take readings from this broker too.")
@click.option("--preset", "presets", multiple=True, metavar="NAME",
              help="Topics of zigbee2mqtt, esphome, tasmota or json.")  # fmt: skip
@click.option("--unit", "units", metavar="CHANNEL=UNIT", multiple=True,
              help="The unit of a channel, such as temperature=F.")  # fmt: skip
@click.option("--longest-interval", "longest_interval_s", type=float, metavar="S",
              help="Longest pause of a healthy sensor that reports on change. [s]")  # fmt: skip
@click.option("--device", metavar="NAME|FILE",
              help="Take the thresholds, pauses, units and codes of this device.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print address and token as JSON, once.")
@mqtt_options
def serve_command(
    model: str | None, host: str, port: int, token_file: Path | None, url: str | None,
    presets: tuple[str, ...], units: tuple[str, ...], longest_interval_s: float | None,
    device: str | None, as_json: bool, **more: Any,
) -> None:  # fmt: skip
    """Watch spaces with MODEL, saafe's own where none is given, and show them on a web page.

    Readings come by POST /readings, or by MQTT with --mqtt. Off this machine (--host) requests
    must carry a token, which is made and printed unless --token-file gives one.

    Example: saafe serve runs/my-run
    """
    from saafe.recordings import parse_units

    need_serving()
    options = ServingOptions(**more)
    if url is None and (presets or options.uses_mqtt):
        raise InputError("--topic, --preset and the like are for a broker: give --mqtt URL")
    token = choose_token(host, token_file)
    parse_units(units)  # before what takes time
    loaded = load_for(model, device)
    told = told_units(loaded, units)
    way = way_to_broker(url, presets, told, options) if url else None
    service = make_service(loaded, longest_interval_s, options, delivers=url is not None)
    try:
        service.restore()
        link = connected(service, *way) if way else None
        shown = {"token_file": token_file, "as_json": as_json}
        watch(service, link, lambda: serve_pages(service, host, port, token, told, **shown))
    finally:
        service.stop()


def watch_mqtt(
    model: Any, url: str, reading: ExportOptions, longest_interval_s: float | None,
    options: ServingOptions,
) -> None:  # fmt: skip
    """Watch what a broker brings, print events as JSON lines, and publish them."""
    need_serving()
    way = way_to_broker(url, reading.presets, told_units(model, reading.units), options)
    service = make_service(model, longest_interval_s, options, delivers=True)
    service.listeners.append(lambda events: print_where_possible(events, service))
    try:
        service.restore()
        link = connected(service, *way)
        watch(service, link, service.is_stopping.wait)
    finally:
        service.stop()


def told_units(model: Any, units: Sequence[str]) -> dict[str, Any]:
    """The units of readings for which nothing else names one; those of the device are said."""
    found = units_of(model.settings.units, units)
    for channel, unit in found.items():
        if unit.is_usual:
            click.echo(
                f"note: {channel} without a unit is taken as {unit.unit}, which the device sends; "
                f"--unit {channel}=UNIT where it comes in another", err=True,
            )  # fmt: skip
    return found


def print_where_possible(events: list[dict], service: "Service") -> None:
    """Print events; a full disk under stdout is said, and the broker has them all the same."""
    try:
        print_events(events)
    except BrokenPipeError:  # nobody reads them any more
        raise
    except OSError as error:
        service.notes.say("stdout", f"stdout: cannot be written ({error.strerror}); events go to "
                          "the broker alone")  # fmt: skip


def need_serving() -> None:
    """Refuse where the packages of serving are not installed."""
    missing = [name for name in ("paho", "fastapi", "uvicorn", "prometheus_client")
               if importlib.util.find_spec(name) is None]  # fmt: skip
    if missing:
        raise InputError(f"needs {missing[0]}: pip install 'saafe[serve]'")


def make_service(
    model: Any, longest_interval_s: float | None, options: ServingOptions, *, delivers: bool
) -> "Service":
    """A service that keeps what it knows in a file."""
    from saafe.serving import DayFiles, Fleet, Notes, QuietDays, Service, Store

    if torch := sys.modules.get("torch"):  # a run folder needs it
        torch.set_num_threads(1)  # workers share the cores; a batch needs no more
    if options.keep is None and options.keep_days != KEEP_DAYS:
        raise InputError("--keep-days is of what is kept: give --keep FOLDER too")
    fleet = Fleet(model, longest_interval_s=longest_interval_s)
    store, notes, quiet = Store(options.state, delivers=delivers), Notes(), None
    if options.keep is not None:
        quiet = QuietDays(DayFiles(options.keep, options.keep_days), store, notes)
    return Service(fleet, store, notes, quiet=quiet)


def way_to_broker(
    url: str, presets: Sequence[str], units: Any, options: ServingOptions
) -> "tuple[Broker, MqttOptions]":
    """Where a broker is and how to take part; what is wrong with that is said before all else."""
    from saafe.serving import MqttOptions, Topics, client_name, find_broker

    worker, workers = parse_worker(options.worker)
    broker = find_broker(
        url, password_file=options.password_file, ca=options.ca, cert=options.cert, key=options.key
    )
    chosen = MqttOptions(
        topics=Topics(options.topics, presets), units=units,
        base=topic_prefix("--base", options.base.strip("/")),
        discovery=topic_prefix("--discovery", options.discovery.strip("/")),
        name=client_name(str(options.state), worker), worker=worker, workers=workers,
    )  # fmt: skip
    return broker, chosen


def connected(service: "Service", broker: "Broker", chosen: "MqttOptions") -> "MqttLink":
    """The link of a service to a broker, once it stands or is being tried."""
    from saafe.serving import MqttLink

    link = MqttLink(service, broker, chosen)
    link.start()
    return link


def topic_prefix(option: str, text: str) -> str:
    """The beginning of topics; no wildcard."""
    if any(sign in text for sign in "+#\0") or text.startswith("$"):
        raise InputError(f"{option} {text}: allowed: a topic without + and #")
    if not text and option == "--base":
        raise InputError("--base: is empty; allowed: a topic such as saafe")
    return text


def parse_worker(text: str) -> tuple[int, int]:
    """What `K/N` says: this worker, of so many."""
    first, sign, last = text.partition("/")
    if sign and first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last) <= 1000:
        return int(first), int(last)
    raise InputError(f"--worker {text}: allowed: K/N such as 1/2 and 2/2, at most 1000 workers")


def watch(service: "Service", link: "MqttLink | None", wait: Callable[[], object]) -> None:
    """Run a service until it is stopped or fails, on the main thread."""

    def stop(*_: object) -> None:
        service.is_stopping.set()

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, stop)
    service.start()
    try:
        wait()
    finally:
        service.is_stopping.set()
        service.thread.join(30.0)
        if link is not None:
            link.stop()
    if service.failed is not None:
        raise service.failed


def choose_token(host: str, token_file: Path | None) -> str | None:
    """The token that requests must carry; None where only this machine can ask."""
    from saafe.serving import is_loopback, new_token, read_secret

    if token_file is not None:
        token = read_secret(token_file, "--token-file")
        if len(token) < 16 or not token.isascii():
            raise InputError(f"--token-file {token_file}: allowed: 16 ASCII characters or more")
        return token
    return None if is_loopback(host) else new_token()


def serve_pages(
    service: "Service", host: str, port: int, token: str | None, units: Any,
    *, token_file: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Serve the web application until the service stops.

    A token that was made here is printed; that of a file is known, and logs are for others' eyes.
    """
    from saafe.serving import listen, machine_address, run_application

    try:
        sockets = listen(host, port)
    except OSError as error:
        raise InputError(
            f"{host}:{port}: cannot be listened at ({error.strerror}); choose --port or --host"
        ) from None
    real_port = sockets.getsockname()[1]
    name = f"[{host}]" if ":" in host else host
    ending = f":{real_port}/" + (f"#token={token}" if token and token_file is None else "")
    click.echo(f"saafe: watching; open http://{name}{ending}", err=True)
    if reached := machine_address(host):
        click.echo(f"saafe: from another device open http://{reached}{ending}", err=True)
    if token_file is not None:
        click.echo(f"saafe: the page asks for the token of {token_file}", err=True)
    if token:
        click.echo("saafe: the token goes unencrypted: put a TLS proxy before it", err=True)
    if as_json:
        print_json({"url": f"http://{name}:{real_port}/", "port": real_port, "token": token})
    sys.stderr.flush()
    run_application(service, sockets, token=token, units=units)

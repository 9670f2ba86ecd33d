"""Where the sensors are: fleets of spaces, MQTT with Home Assistant, HTTP with a page."""

from saafe.serving.broker import Broker, client_name, find_broker, read_secret
from saafe.serving.day_files import DayFiles
from saafe.serving.fleet import Fleet, Arrival
from saafe.serving.guard import is_loopback, new_token
from saafe.serving.mqtt import MqttLink
from saafe.serving.mqtt_options import MqttOptions
from saafe.serving.notes import Notes
from saafe.serving.quiet import QuietDays
from saafe.serving.server import listen, machine_address, run_application
from saafe.serving.service import Service
from saafe.serving.store import Store
from saafe.serving.topics import TOPIC_PRESETS, Topics
from saafe.serving.web import make_application

__all__ = [
    "TOPIC_PRESETS", "Arrival", "Broker", "DayFiles", "Fleet", "MqttLink", "MqttOptions", "Notes",
    "QuietDays", "Service", "Store", "Topics", "client_name", "find_broker", "is_loopback",
    "listen", "machine_address", "make_application", "new_token", "read_secret", "run_application",
]  # fmt: skip

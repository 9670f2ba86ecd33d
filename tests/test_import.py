"""`saafe data import`: exports of each vendor and oddity in, the readings and times out.

The vendors' texts are from memory of real exports.
"""

import json
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from saafe.cli import saafe
from saafe.errors import InputError
from saafe.readers.export_columns import find_meaning
from saafe.readers.export_hints import import_hint, read_recorded
from saafe.readers.export_maps import parse_columns
from saafe.readers.export_numbers import guess_decimal, read_cells
from saafe.readers.export_text import read_cells_of
from saafe.readers.export_times import read_moments
from saafe.readers.exports import import_recording, read_export
from saafe.readers.presets import PRESETS
from saafe.recordings.recording import read_recording
from saafe.recordings.stream import read_rows
from saafe.recordings.units import CHANNEL_UNITS, parse_units
from saafe.sensors import CHANNEL_NAMES, HUMIDITY, TEMPERATURE

NOON = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
LOCAL_NOON = NOON.replace(tzinfo=None)


Readings = Mapping[str, Mapping[str, Sequence[float | None]]]


class Case(NamedTuple):
    """An export, and what stands in its first two times: sensor -> channel -> readings."""

    text: str
    readings: Readings
    start: datetime | None = NOON
    step_s: float = 60.0
    options: dict = {}  # noqa: RUF012 - never changed
    preset: str | None = None


def one(**channels: Sequence[float | None]) -> Readings:
    return {"A": dict(channels)}


T, RH, PM, CO2 = [21.0, 21.5], [45.0, 46.0], [7.0, 7.5], [560.0, 1565.0]
ALL = {"temperature": T, "humidity": RH, "pm25": PM, "co2": CO2}
VENDORS = {
    "home-assistant, two rooms": Case(
        "entity_id,state,last_changed\n"
        "sensor.living_room_temperature,21.0,2026-11-20T12:00:00.000Z\n"
        "sensor.living_room_temperature,21.5,2026-11-20T12:01:00.000Z\n"
        "sensor.kitchen_pm2_5,7.0,2026-11-20T12:00:00.000Z\n"
        "sensor.kitchen_pm2_5,unavailable,2026-11-20T12:01:00.000Z\n"
        "sensor.kitchen_humidity,45,2026-11-20T12:00:00.000Z\n"
        "sensor.kitchen_humidity,46,2026-11-20T12:01:00.000Z\n"
        "binary_sensor.kitchen_door,on,2026-11-20T12:01:00.000Z\n",
        {"living_room": {"temperature": T}, "kitchen": {"pm25": [7.0, None], "humidity": RH}},
        preset="home-assistant",
    ),
    "home-assistant, REST": Case(
        json.dumps(
            [
                [
                    {
                        "entity_id": "sensor.hall_temperature",
                        "state": "69.8",
                        "attributes": {
                            "unit_of_measurement": "°F",
                            "friendly_name": "Hall Temperature",
                        },
                        "last_changed": "2026-11-20T12:00:00+00:00",
                    },
                    {"state": "70.7", "last_changed": "2026-11-20T13:01:00+01:00"},
                ],
                [
                    {
                        "entity_id": "sensor.hall_carbon_dioxide",
                        "state": "560",
                        "last_changed": "2026-11-20T12:00:00+00:00",
                    },
                    {"state": "1565", "last_changed": "2026-11-20T12:01:00+00:00"},
                ],
            ]
        ),
        {"hall": {"temperature": T, "co2": CO2}},
        preset="home-assistant",
    ),
    "esphome log": Case(
        "INFO Starting log output from kitchen.local\n"
        "[12:00:00][D][sensor:094]: 'Temperature': Sending state 21.00000 °C with 1 decimals of "
        "accuracy\n"
        "[12:00:00][D][sensor:094]: 'PM <2.5µm Weight concentration': Sending state 7.0 µg/m³ with "
        "2 decimals of accuracy\n"
        "[12:00:20][D][wifi:123]: roaming\n"
        "[12:01:00][D][sensor:094]: 'Temperature': Sending state 21.50000 °C with 1 decimals\n"
        "[12:01:00][D][sensor:094]: 'PM <2.5µm Weight concentration': Sending state 7.5 µg/m³ with "
        "2 decimals of accuracy\n",
        one(temperature=T, pm25=PM),
        start=None,
    ),
    "esphome csv": Case(
        "time,Kitchen Temperature,Kitchen CO2\n1795176000,21.0,560\n1795176060,21.5,1565\n",
        {"kitchen": {"temperature": T, "co2": CO2}},
        options={"preset": "esphome"},
        preset="esphome",
    ),
    "zigbee2mqtt, epoch ms": Case(
        '{"battery":97,"co2":560,"humidity":45,"last_seen":1795176000000,"linkquality":120,'
        '"pm25":7,"temperature":21,"device_temperature":31}\n'
        '{"battery":97,"co2":1565,"humidity":46,"last_seen":1795176060000,"linkquality":118,'
        '"pm25":7.5,"temperature":21.5,"device_temperature":31}\n',
        {"A": ALL},
        preset="zigbee2mqtt",
    ),
    "zigbee2mqtt, topics": Case(
        'zigbee2mqtt/kitchen {"last_seen":"2026-11-20T13:00:00+01:00","temperature":21}\n'
        'zigbee2mqtt/hall {"last_seen":"2026-11-20T13:00:00+01:00","temperature":20}\n'
        'zigbee2mqtt/kitchen {"last_seen":"2026-11-20T13:01:00+01:00","temperature":21.5}\n'
        'zigbee2mqtt/hall {"last_seen":"2026-11-20T13:01:00+01:00","temperature":20}\n',
        {"kitchen": {"temperature": T}, "hall": {"temperature": [20.0, 20.0]}},
        preset="zigbee2mqtt",
    ),
    "zigbee2mqtt, log": Case(
        "[2026-11-20 12:00:00] info: \tz2m:mqtt: MQTT publish: topic 'zigbee2mqtt/k', payload "
        '\'{"temperature":21.0,"humidity":45}\'\n'
        "[2026-11-20 12:01:00] info: \tz2m:mqtt: MQTT publish: topic 'zigbee2mqtt/k', payload "
        '\'{"temperature":21.5,"humidity":46}\'\n',
        {"k": {"temperature": T, "humidity": RH}},
        start=LOCAL_NOON,
    ),
    "thingspeak": Case(
        "created_at,entry_id,field1,field2,latitude,longitude,elevation,status\n"
        "2026-11-20 12:00:00 UTC,1,21.0,7.0,,,,\n2026-11-20 12:01:00 UTC,2,21.5,7.5,,,,\n",
        one(temperature=T, pm25=PM),
        options={"columns": {"field1": "temperature", "field2": "pm25"}},
        preset="thingspeak",
    ),
    "thingspeak, JSON": Case(
        json.dumps(
            {
                "channel": {"id": 9, "name": "Home", "field1": "Temperature", "field2": "PM2.5"},
                "feeds": [
                    {
                        "created_at": "2026-11-20T12:00:00Z",
                        "entry_id": 1,
                        "field1": "21.0",
                        "field2": "7.0",
                    },
                    {
                        "created_at": "2026-11-20T12:01:00Z",
                        "entry_id": 2,
                        "field1": "21.5",
                        "field2": "7.5",
                    },
                ],
            }
        ),
        one(temperature=T, pm25=PM),
        preset="thingspeak",
    ),
    "purpleair": Case(
        "time_stamp,sensor_index,humidity,temperature,pm2.5_atm,pm2.5_cf_1\n"
        "1795176000,4321,45,69.8,7.0,9.0\n1795176060,4321,46,70.7,7.5,9.5\n",
        {"4321": {"temperature": T, "humidity": RH, "pm25": PM}},
        preset="purpleair",
    ),
    "purpleair, API": Case(
        json.dumps(
            {
                "api_version": "V1.0.11",
                "sensor_index": 4321,
                "fields": ["time_stamp", "temperature", "humidity", "pm2.5_atm"],
                "data": [[1795176060, 70.7, 46, 7.5], [1795176000, 69.8, 45, 7.0]],
            }
        ),
        one(temperature=T, humidity=RH, pm25=PM),
        preset="purpleair",
    ),
    "purpleair, SD card": Case(
        "UTCDateTime,mac_address,current_temp_f,current_humidity,current_dewpoint_f,pressure,"
        "pm1_0_cf_1,pm2_5_cf_1,pm2_5_atm,pm2_5_atm_b\n"
        "2026/11/20T12:00:00z,84:f3:eb,69.8,45,50,1013,5,9.0,7.0,8\n"
        "2026/11/20T12:01:00z,84:f3:eb,70.7,46,50,1013,5,9.5,7.5,8\n",
        {"84:f3:eb": {"temperature": T, "humidity": RH, "pm25": PM}},
    ),
    "airgradient": Case(
        "Location ID,Location Name,Location Group,Location Type,Sensor ID,Place Open,"
        "Local Date/Time,UTC Date/Time,# of aggregated records,PM2.5 (μg/m³) raw,"
        "PM2.5 (μg/m³) corrected,0.3μm particle count,CO2 (ppm) raw,CO2 (ppm) corrected,"
        "Temperature (°C) raw,Temperature (°C) corrected,Heat Index (°C),Humidity (%) raw,"
        "Humidity (%) corrected,TVOC (ppb),TVOC index\n"
        "1,Kitchen,,,airgradient:ab,,2026-11-20 13:00:00,2026-11-20T12:00:00.000Z,1,9,7.0,900,"
        "999,560,25,21.0,21,40,45,100,99\n"
        "1,Kitchen,,,airgradient:ab,,2026-11-20 13:01:00,2026-11-20T12:01:00.000Z,1,9,7.5,900,"
        "999,1565,25,21.5,21,40,46,100,99\n",
        {"Kitchen": ALL},
        preset="airgradient",
    ),
    "awair": Case(
        "timestamp,score,temp,humid,co2,voc,pm25\n"
        "2026-11-20T12:00:00.000Z,93,21.0,45.0,560,120,7.0\n"
        "2026-11-20T12:01:00.000Z,93,21.5,46.0,1565,120,7.5\n",
        {"A": ALL},
        preset="awair",
    ),
    "awair, API": Case(
        json.dumps(
            {
                "data": [
                    {
                        "timestamp": "2026-11-20T12:01:00.000Z",
                        "score": 90,
                        "sensors": [
                            {"comp": "temp", "value": 21.5},
                            {"comp": "pm25", "value": 7.5},
                        ],
                    },
                    {
                        "timestamp": "2026-11-20T12:00:00.000Z",
                        "score": 90,
                        "sensors": [
                            {"comp": "temp", "value": 21.0},
                            {"comp": "pm25", "value": 7.0},
                        ],
                    },
                ]
            }
        ),
        one(temperature=T, pm25=PM),
    ),
    "aranet": Case(
        '"Time(DD/MM/YYYY h:mm:ss A)","Carbon dioxide(ppm)","Temperature(°C)",'
        '"Relative humidity(%)","Atmospheric pressure(hPa)"\n'
        '"20/11/2026 12:00:00 PM","560","21.0","45","1,013"\n'
        '"20/11/2026 12:01:00 PM","1565","21.5","46","1,013"\n',
        one(co2=CO2, temperature=T, humidity=RH),
        start=LOCAL_NOON,
        preset="aranet",
    ),
    "aranet, degF": Case(
        "Time(MM/DD/YYYY h:mm:ss A),Carbon dioxide(ppm),Temperature(°F)\n"
        '01/02/2026 12:00:00 PM,560,69.8\n01/02/2026 12:01:00 PM,"1,565",70.7\n',
        one(co2=CO2, temperature=T),
        start=datetime(2026, 1, 2, 12),
    ),
    "airthings": Case(
        "recorded;RADON_SHORT_TERM_AVG Bq/m3;TEMP °C;HUMIDITY %;PRESSURE hPa;CO2 ppm;VOC ppb;"
        "PM25 μg/m3\n"
        "2026-11-20T12:00:00;30.0;21.00;45.00;1013.2;560.0;80.0;7.0\n"
        "2026-11-20T12:01:00;30.0;21.50;46.00;1013.2;1565.0;80.0;7.5\n",
        {"A": ALL},
        start=LOCAL_NOON,
        preset="airthings",
    ),
    "airthings, German": Case(
        "aufgezeichnet;RADON Bq/m3;TEMP °C;LUFTFEUCHTIGKEIT %;CO2 ppm\n"
        "2026-11-20T12:00:00;30,0;21,0;45,0;560\n2026-11-20T12:01:00;30,0;21,5;46,0;1.565\n",
        one(temperature=T, humidity=RH, co2=CO2),
        start=LOCAL_NOON,
    ),
    "netatmo": Case(
        'Name;"Kitchen"\nLongitude;13.4\nLatitude;52.5\n'
        'Timestamp;"Timezone : Europe/Berlin";Temperature;Humidity;CO2;Noise;Pressure\n'
        '1795176000;"2026/11/20 13:00:00";21;45;560;38;1013.2\n'
        '1795176060;"2026/11/20 13:01:00";21.5;46;1565;39;1013.2\n',
        one(temperature=T, humidity=RH, co2=CO2, sound=[38.0, 39.0]),
        preset="netatmo",
    ),
    "qingping": Case(
        "\ufeffTime,Temperature(℃),Humidity(%),CO2(ppm),PM2.5(μg/m³),PM10(μg/m³)\r\n"
        "2026-11-20 12:01:00,21.5,46,1565,7.5,9\r\n2026-11-20 12:00:00,21.0,45,560,7,9\r\n",
        {"A": ALL},
        start=LOCAL_NOON,
        preset="qingping",
    ),
    "sensor.community, SDS011": Case(
        "sensor_id;sensor_type;location;lat;lon;timestamp;P1;durP1;ratioP1;P2;durP2;ratioP2\n"
        "71;SDS011;40;48.1;9.2;2026-11-20T12:00:00;11.20;;;7.00;;\n"
        "71;SDS011;40;48.1;9.2;2026-11-20T12:01:00;11.20;;;7.50;;\n",
        {"71": {"pm25": PM}},
        preset="sensor.community",
    ),
    "sensor.community, BME280": Case(
        "sensor_id;sensor_type;location;lat;lon;timestamp;pressure;altitude;temperature;humidity\n"
        "72;BME280;40;48.1;9.2;2026-11-20T12:00:00;101300;;21.00;45.00\n"
        "72;BME280;40;48.1;9.2;2026-11-20T12:01:00;101300;;21.50;46.00\n",
        {"72": {"temperature": T, "humidity": RH}},
        preset="sensor.community",
    ),
    "influxdb, annotated long": Case(
        "#group,false,false,true,true,false,false,true,true,true\n"
        "#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,double,string,"
        "string,string\n#default,_result,,,,,,,,\n"
        ",result,table,_start,_stop,_time,_value,_field,_measurement,room\n"
        ",,0,2026-11-20T00:00:00Z,2026-11-21T00:00:00Z,2026-11-20T12:00:00Z,21,temperature,air,hall\n"
        ",,0,2026-11-20T00:00:00Z,2026-11-21T00:00:00Z,2026-11-20T12:01:00Z,21.5,temperature,air,"
        "hall\n\n"
        "#group,false,false,true,true,false,false,true,true,true\n"
        "#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,dateTime:RFC3339,long,string,"
        "string,string\n#default,_result,,,,,,,,\n"
        ",result,table,_start,_stop,_time,_value,_field,_measurement,room\n"
        ",,1,2026-11-20T00:00:00Z,2026-11-21T00:00:00Z,2026-11-20T12:00:00Z,560,co2,air,hall\n"
        ",,1,2026-11-20T00:00:00Z,2026-11-21T00:00:00Z,2026-11-20T12:01:00Z,1565,co2,air,hall\n",
        {"hall": {"temperature": T, "co2": CO2}},
        preset="influxdb",
    ),
    "influxdb, of Home Assistant": Case(
        "#datatype,string,long,dateTime:RFC3339,double,string,string,string,string\n"
        ",result,table,_time,_value,_field,_measurement,domain,entity_id\n"
        ",,0,2026-11-20T12:00:00Z,69.8,value,°F,sensor,kitchen_temperature\n"
        ",,0,2026-11-20T12:01:00Z,70.7,value,°F,sensor,kitchen_temperature\n"
        ",,1,2026-11-20T12:00:00Z,7,value,µg/m³,sensor,kitchen_pm25\n"
        ",,1,2026-11-20T12:01:00Z,7.5,value,µg/m³,sensor,kitchen_pm25\n",
        {"kitchen": {"temperature": T, "pm25": PM}},
        preset="influxdb",
    ),
    "influxdb, wide": Case(
        ",result,table,_time,co2,temperature,room\n"
        ",_result,0,2026-11-20T12:00:00Z,560,21,hall\n,_result,0,2026-11-20T12:01:00Z,1565,21.5,hall\n",
        {"hall": {"temperature": T, "co2": CO2}},
        preset="influxdb",
    ),
    "influxdb 1, ns": Case(
        "name,time,host,temperature\n"
        "air,1795176000000000000,pi,21\nair,1795176060000000000,pi,21.5\n",
        {"air": {"temperature": T}},
    ),
    "grafana, units in cells": Case(
        '"Time","Temperature","CO2","Humidity"\n'
        "2026-11-20 12:00:00,69.8 °F,560 ppm,45%\n2026-11-20 12:01:00,70.7 °F,1565 ppm,46%\n",
        one(temperature=T, co2=CO2, humidity=RH),
        start=LOCAL_NOON,
    ),
    "grafana, rooms": Case(
        '"Time","temperature {room=""kitchen""}","temperature {room=""hall""}"\n'
        "1795176000000,21.0,20\n1795176060000,21.5,undefined\n",
        {"kitchen": {"temperature": T}, "hall": {"temperature": [20.0, None]}},
    ),
    "grafana, series": Case(
        '"Series";"Time";"Value"\n'
        '"kitchen co2";"2026-11-20T12:00:00+00:00";560\n'
        '"kitchen co2";"2026-11-20T12:01:00+00:00";1565\n'
        '"kitchen temperature";"2026-11-20T12:00:00+00:00";21\n'
        '"kitchen temperature";"2026-11-20T12:01:00+00:00";21.5\n',
        {"kitchen": {"co2": CO2, "temperature": T}},
    ),
}


def rows(*cells: str, header: str = "time,temperature_c") -> str:
    return "\n".join([header, *cells]) + "\n"


def stamped(first: str, second: str, **options: str) -> Case:
    start = NOON if options.pop("absolute", "yes") == "yes" else LOCAL_NOON
    text = rows(f"{first}|21.0", f"{second}|21.5", header="time|temperature_c")
    return Case(text, one(temperature=T), start=start, options=options)


ODDITIES = {
    "banner and comments": Case(
        "ets Jan  8 2013,rst cause:2, boot mode:(3,6)\n# temperature of a home\n\nsome words\n"
        + rows("2026-11-20T12:00:00Z,21.0", "# break", "2026-11-20T12:01:00Z,21.5"),
        one(temperature=T),
    ),
    "commented header": Case(
        rows("2026-11-20T12:00:00Z,21.0", "2026-11-20T12:01:00Z,21.5", header="# time, temp"),
        one(temperature=T),
    ),
    "sep line, footer, header again": Case(
        "sep=;\n" + rows("2026-11-20T12:00:00Z;21.0", "time;temperature_c",
                         "2026-11-20T12:01:00Z;21.5", "Total;2", header="time;temperature_c"),
        one(temperature=T),
    ),
    "decimal commas between commas": Case(
        rows('"2026-11-20T12:00:00Z",21,0,45,0', '"2026-11-20T12:01:00Z",21,5,46,0',
             header="time,temperature_c,humidity_pct"),
        one(temperature=T, humidity=RH),
    ),
    "seconds with decimal commas": Case(
        rows("0,0;21,0", "60,0;21,5", header="time_s;temperature_c"),
        one(temperature=T), start=None,
    ),
    "seconds since 1970 with decimal commas": Case(
        rows("1795176000,0;21,0", "1795176060,0;21,5", header="time;temperature_c"),
        one(temperature=T),
    ),
    "thousands": Case(
        rows('2026-11-20T12:00:00Z,"560"', '2026-11-20T12:01:00Z,"1,565"', header="time,co2"),
        one(co2=CO2),
    ),
    "points for thousands": Case(
        rows("2026-11-20T12:00:00Z;560;21,0", "2026-11-20T12:01:00Z;1.565;21,5",
             header="time;co2;temp"),
        one(co2=CO2, temperature=T),
    ),
    "spaces for thousands": Case(
        rows("2026-11-20T12:00:00Z;560", "2026-11-20T12:01:00Z;1 565,0", header="time;co2"),
        one(co2=CO2),
    ),
    "units below the header": Case(
        rows(",°F,ppm", "2026-11-20T12:00:00Z,69.8,560", "2026-11-20T12:01:00Z,70.7,1565",
             header="time,temperature,co2"),
        one(temperature=T, co2=CO2),
    ),
    "tabs": Case(
        rows("2026-11-20T12:00:00Z\t21.0", "2026-11-20T12:01:00Z\t21.5", header="time\ttemp"),
        one(temperature=T),
    ),
    "newest first": Case(
        rows("2026-11-20T12:01:00Z,21.5", "2026-11-20T12:00:00Z,21.0"), one(temperature=T)
    ),
    "words": Case(
        rows("2026-11-20T12:00:00Z,unknown,7", "2026-11-20T12:01:00Z,21.5,-",
             header="time,temp,pm2.5"),
        one(temperature=[None, 21.5], pm25=[7.0, None]),
    ),
    "date and hour apart": Case(
        rows("20.11.2026;12:00;21,0", "20.11.2026;12:01;21,5", header="Datum;Uhrzeit;Temperatur"),
        one(temperature=T),
        start=LOCAL_NOON,
    ),
    "rooms in columns": Case(
        rows("2026-11-20T12:00:00Z,21,20,45", "2026-11-20T12:01:00Z,21.5,20,46",
             header="time,Kitchen Temperature [°C],Hall Temperature [°C],Kitchen RH"),
        {"Kitchen": {}, "kitchen": {"temperature": T, "humidity": RH},
         "hall": {"temperature": [20.0, 20.0]}},
    ),
    "not the room's air": Case(
        rows("2026-11-20T12:00:00Z,5,21,9,30", "2026-11-20T12:01:00Z,5,21.5,9,30",
             header="time,Outdoor Temperature,Temperature,Dew point,Battery temperature"),
        one(temperature=T),
    ),
    "one-digit hours": stamped("2026-11-20 1:00:00 PM +01:00", "2026-11-20 1:01:00 PM +01:00"),
    "AM and PM": stamped("11/20/2026 12:00 PM", "11/20/2026 12:01 PM", absolute="no"),
    "UTC behind": stamped("2026-11-20 12:00:00 UTC", "2026-11-20 12:01:00 UTC"),
    "Go": stamped("2026-11-20 13:00:00 +0100 CET", "2026-11-20 13:01:00 +0100 CET m=+0.01"),
    "zone's name": stamped("20.11.2026 13:00 CET", "20.11.2026 13:01 CET"),
    "epoch s": stamped("1795176000", "1795176060"),
    "epoch ms": stamped("1795176000000", "1795176060000"),
    "month's name": stamped("Nov 20, 2026 12:00:00 PM", "Nov 20, 2026 12:01:00 PM", absolute="no"),
    "compact": stamped("20261120T120000Z", "20261120T120100Z"),
    "zone given": stamped("2026-11-20 13:00", "2026-11-20 13:01", zone="Europe/Berlin"),
}  # fmt: skip


def write(folder: Path, text: str | bytes, name: str = "export.csv") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize("name", [*VENDORS, *ODDITIES])
def test_reads(name: str, tmp_path: Path):
    case = (VENDORS | ODDITIES)[name]
    recording, _, guess = import_recording(write(tmp_path, case.text), **case.options)
    expected = {sensor: channels for sensor, channels in case.readings.items() if channels}
    assert set(recording.sensors) == set(expected)
    assert recording.start == case.start
    assert recording.times_s.tolist() == [0.0, case.step_s]
    assert guess.preset == case.preset
    for sensor, channels in expected.items():
        for index, channel in enumerate(CHANNEL_NAMES):
            got = recording.readings[:, recording.sensors.index(sensor), index]
            wanted = [np.nan if v is None else v for v in channels.get(channel, [None, None])]
            np.testing.assert_allclose(got, wanted, atol=1e-4, err_msg=f"{sensor} {channel}")


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_reads_any_encoding(encoding: str, tmp_path: Path):
    text = "Zeit;Temperatur (°C)\r\n2026-11-20 12:00:00Z;21,0\r\n2026-11-20 12:01:00Z;21,5\r\n"
    recording, _, _ = import_recording(write(tmp_path, text.encode(encoding)))
    assert recording.readings[:, 0, 0].tolist() == [21.0, 21.5]


def test_bytes_of_a_bad_line_cost_one_row(tmp_path: Path):
    good = [f"{10 * k},kitchen,21.{k},7" for k in range(40)]
    noise = b'\n200,kit\xffchen\xb0,2\n\x00\x00\x00210,"kitchen,21.0,7\n'
    head = b"time_s,sensor,temperature_c,pm25_ug_m3\n" + "\n".join(good[:20]).encode()
    data = head + noise + "\n".join(good[20:]).encode() + b"\n"
    recording, check, _ = import_recording(write(tmp_path, data))
    assert len(recording.times_s) == 40
    assert any("left out 2 rows" in note for note in check.notes)


BAD = {7: "abc", 11: "12:30", 12: "error 5"}  # by the line of the file
LEFT_EMPTY = "3 cells of 'co2' were not numbers and were left empty: first 'abc' in line 7"


def with_bad_cells(form: str) -> str:
    """Forty readings with three cells that are none, and one that is empty."""
    cells = [BAD.get(line, "" if line == 20 else f"{500 + line}") for line in range(2, 42)]
    times = [f"{LOCAL_NOON + timedelta(minutes=k)}" for k in range(40)]
    if form == "wide":
        return rows(*(f"{t},{c},21" for t, c in zip(times, cells, strict=True)),
                    header="time,co2,temperature_c")  # fmt: skip
    if form == "long":
        return rows(*(f"{t},co2,{c}" for t, c in zip(times, cells, strict=True)),
                    header="time,entity_id,state")  # fmt: skip
    records = [{"time": t, "co2": c} for t, c in zip(times, cells, strict=True)]
    return "\n".join(["", *map(json.dumps, records)])  # so that the first is in line 2


@pytest.mark.parametrize("form", ["wide", "long", "json"])
def test_cells_that_are_no_numbers_are_counted(form: str, tmp_path: Path):
    text = with_bad_cells(form)
    for order in (text, turned_round(text) if form == "wide" else text):
        recording, check, _ = import_recording(write(tmp_path, order))
        assert np.isfinite(recording.readings[:, 0, CHANNEL_NAMES.index("co2")]).sum() == 36
        said = [note for note in check.notes if "not numbers" in note]
        assert said == [LEFT_EMPTY if order == text else
                        LEFT_EMPTY.replace("'abc' in line 7", "'error 5' in line 31")]  # fmt: skip


def turned_round(text: str) -> str:
    head, *lines = text.splitlines()
    return "\n".join([head, *lines[::-1]])


def test_the_command_says_which_cells_were_left_empty(tmp_path: Path):
    path, out = write(tmp_path, with_bad_cells("wide")), tmp_path / "out.csv"
    done = CliRunner().invoke(saafe, ["data", "import", str(path), str(out)])
    assert done.output.count(LEFT_EMPTY) == 1
    done = CliRunner().invoke(saafe, ["data", "import", str(path), str(out), "--json"])
    assert LEFT_EMPTY in json.loads(done.stdout)["check"]["notes"]
    done = CliRunner().invoke(saafe, ["data", "check", "--sensor", "B", str(path)])
    assert done.output.count(LEFT_EMPTY) == 1


def test_the_repeated_hour_is_told_apart_by_order(tmp_path: Path):
    start = datetime(2026, 10, 24, 23, 50, tzinfo=UTC)  # clocks fall back at 01:00 UTC
    berlin = ZoneInfo("Europe/Berlin")
    clocks = [(start + timedelta(minutes=k)).astimezone(berlin) for k in range(150)]
    lines = [f"{clock:%Y-%m-%d %H:%M:%S},{k / 2}" for k, clock in enumerate(clocks)]
    for order in (lines, lines[::-1]):
        path = write(tmp_path, rows(*order))
        recording, _, _ = import_recording(path, zone="Europe/Berlin")
        assert (recording.times_s / 60).tolist() == list(range(150))
        assert (2 * recording.readings[:, 0, 0]).tolist() == list(range(150))
        assert recording.start == start
    with pytest.raises(InputError, match='zone="Europe/Berlin"'):
        import_recording(write(tmp_path, rows(*lines)))


@pytest.mark.parametrize(
    ("text", "units", "note"),
    [
        ("time,temperature_f\n0,70\n10,4000\n20,71\n", None,
         "'4000' of 'temperature_f' in line 3 is 2204.44 degC, outside -40 to 1200"),
        ("time,temperature\n20,71\n10,4000 F\n0,70\n", {"temperature": "F"},
         "'4000 F' of 'temperature' in line 3 is 2204.44 degC, outside -40 to 1200"),
        ("time,co2 (%)\n0,0.1\n10,99\n20,0.1\n", None,
         "'99' of 'co2 (%)' in line 3 is 990000 ppm, outside 100 to 200000"),
        ("time,humidity\n0,0.5\n10,1.05\n20,0.5\n", {"humidity": "fraction"}, ""),  # wet
        ("time,temperature\n0,20\n10,4000\n20,21\n", None, ""),  # its own: the check says it
    ],
)  # fmt: skip
def test_what_is_masked_is_told_as_the_file_has_it(
    text: str, units: Mapping[str, str] | None, note: str, tmp_path: Path
) -> None:
    _, check, _ = import_recording(write(tmp_path, text), units=units)
    assert [line for line in check.notes if " in line " in line] == [note] * bool(note)


@pytest.mark.parametrize(
    ("step", "unit"),
    [(900, "s"), (1000, "ms"), (1200, "s"), (1800, "s"), (3600, "s"), (5000, "ms"), (5400, "s"),
     (7200, "s"), (9000, "ms"), (10_000, "ms"), (14_400, "s"), (43_200, "s"), (60_000, "ms"),
     (86_400, "s"), (300_000, "ms")],
)  # fmt: skip
def test_a_counter_of_seldom_reports_counts_seconds(step: int, unit: str) -> None:
    """Steps of 90 minutes were taken for 5.4 s, by the command that the refusal named."""
    times = read_moments(pl.Series([str(step * k) for k in range(40)]), "time_s")
    assert times is not None
    assert times.form == f"{unit} from a start"


def test_what_reports_too_seldom_is_told_no_import(tmp_path: Path) -> None:
    file = tmp_path / "seldom.csv"
    file.write_text("time_s,temperature_c\n" + "".join(f"{5400 * k},20\n" for k in range(40)))
    with pytest.raises(InputError, match=r"a median period of 5400 s.*; allowed: at most 3600 s"):
        read_recorded(file)


def test_counters_in_milliseconds_are_told_by_their_steps(tmp_path: Path):
    path = write(tmp_path, rows("5000,21", "15000,21", "25000,22", header="time_s,temperature_c"))
    recording, _, guess = import_recording(path)
    assert recording.times_s.tolist() == [0.0, 10.0, 20.0]
    assert guess.time_form == "ms from a start"


@pytest.mark.parametrize(
    ("channel", "unit", "value", "wanted"),
    [
        ("temperature", "F", 69.8, 21.0),
        ("temperature", "K", 294.15, 21.0),
        ("temperature", "centi-degrees", 2100.0, 21.0),
        ("pm25", "mg/m3", 0.007, 7.0),
        ("pm25", "µg/m³", 7.0, 7.0),
        ("co2", "%", 0.056, 560.0),
        ("co2", "fraction", 0.00056, 560.0),
        ("co2", "mol/mol", 0.00056, 560.0),
        ("co", "mol/mol", 9e-6, 9.0),
        ("co", "umol/mol", 9.0, 9.0),
        ("co", "ppb", 9000.0, 9.0),
        ("co", "ug/m3", 10_000.0, 8.7291),
        ("co2", "ug/m3", 1_000_000.0, 555.56),
        ("co", "mg/m3", 10.0, 8.7291),  # 1 ppm is 1.1456 mg/m3 at 25 degC
        ("humidity", "fraction", 0.45, 45.0),
    ],
)
def test_units(channel: str, unit: str, value: float, wanted: float):
    conversion = parse_units([f"{channel}={unit}"])[channel]
    assert conversion.apply(value) == pytest.approx(wanted, rel=1e-4)
    assert np.isnan(conversion.apply(np.array([np.nan]))).all()


@pytest.mark.parametrize("channel", CHANNEL_UNITS)
def test_each_channel_has_its_own_unit_first(channel: str):
    assert CHANNEL_UNITS[channel][0].apply(12.5) == 12.5


@pytest.mark.parametrize(
    ("name", "unit"),
    [("tempf", "F"), ("tempinf", "F"), ("temp1f", "F"), ("temp_f", "F"), ("tempF", "F"),
     ("tempc", None), ("temperature", None), ("co_ug_m3", "ug/m3"), ("temp_k", "K")],
)  # fmt: skip
def test_names_that_end_in_their_unit(name: str, unit: str | None) -> None:
    meaning = find_meaning(name)
    assert meaning is not None
    assert (meaning.unit and meaning.unit.unit) == unit


@pytest.mark.parametrize(
    ("name", "channel", "place"),
    [
        ("sensor.living_room_temperature", "temperature", "living_room"),
        ("PM2.5_CF1_ug/m3", "pm25", ""),
        ("Humidité (%)", "humidity", ""),
        ("CarbonDioxide", "co2", ""),
        ("Carbon Monoxide(ppb)", "co", ""),
        ("Room temperature", "temperature", ""),
        ("scd40_co2", "co2", "scd40"),
        ("pm10", None, None),
        ("PM2.5 (AQI)", None, None),
        ("PM2.5 (#/cm3)", None, None),
        ("Fine dust (mg/m3)", "pm25", ""),
        ("dust", "pm25", ""),
        ("Kitchen dust density", "pm25", "kitchen"),
        ("Feinstaub", "pm25", ""),
        ("Feinstaub (PM2,5)", "pm25", ""),
        ("Feinstaubkonzentration [µg/m³]", "pm25", ""),
        ("particulate matter", "pm25", ""),
        ("Particulates µg/m³", "pm25", ""),
        ("aerosol mg/m³", "pm25", ""),
        ("PM", "pm25", ""),
        ("SDS_P2", "pm25", ""),
        ("SDS_P1", None, None),
        ("P1", None, None),
        ("P2", None, None),  # alone: a power, a pressure
        ("PM 10", None, None),
        ("PM1.0", None, None),
        ("Feinstaub PM10", None, None),
        ("Feinstaub 10", None, None),
        ("Fine dust (PM10)", None, None),
        ("Particulates 10 um", None, None),
        ("Dust filter life", None, None),
        ("Dust sensor voltage", None, None),
        ("Particulate count", None, None),
        ("dust sensor temperature", "temperature", "dust"),
        ("Time AM/PM", None, None),
        ("CO (mV)", None, None),
        ("Outdoor humidity", None, None),
        ("temperature_unit", None, None),
        ("country", None, None),
    ],
)
def test_names(name: str, channel: str | None, place: str | None):
    meaning = find_meaning(name)
    assert (meaning and meaning.channel, meaning and meaning.place) == (channel, place)


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        ("time,P1,P2", "P2"),  # Luftdaten: P1 is PM10
        ("time,P2,P1,temperature", "P2"),
        ("time,PM10,PM2.5", "PM2.5"),
        ("time,dust,PM2.5", "PM2.5"),
        ("time,PM,PM1,PM10", "PM"),
    ],
)
def test_of_several_particles_the_fine_ones_are_taken(header: str, taken: str, tmp_path: Path):
    cells = ",".join(str(k) for k in range(1, header.count(",") + 1))
    path = write(tmp_path, f"{header}\n2026-11-20T12:00:00Z,{cells}\n")
    found = import_recording(path)[2].columns
    assert [one.name for one in found if one.channel == "pm25"] == [taken]


@pytest.mark.parametrize(
    ("name", "channel"),
    [
        ("Smoke (mg/m3)", "pm25"),
        ("Rauch ug/m3", "pm25"),
        ("Zimmer 1 (°C)", "temperature"),
        ("Gas (ppm)", "co"),
        ("Pegel (dB)", "sound"),
        ("PM10 (ug/m3)", None),
        ("TVOC mg/m3", None),
        ("Battery (%)", None),
        ("Outdoor °C", None),
        ("Smoke", None),
        ("Comment", None),
    ],
)
def test_an_ignored_column_with_the_unit_of_an_absent_channel_is_told(
    name: str, channel: str | None, tmp_path: Path
):
    """The smoke column was lost in silence."""
    path = write(tmp_path, f"Zeit;humidity;{name}\n2026-11-20T12:00:00Z;45;20\n")
    guess = import_recording(path)[2]
    said = [line for line in guess.lines() if "--map" in line]
    with pytest.raises(InputError) as refused:
        read_recorded(path)
    if channel is None:
        assert said == []
        assert "--map" not in str(refused.value)
        return
    assert said == [
        f'"{name}" is ignored; if it is {channel}: --map {shlex.quote(f"{name}={channel}")}'
    ]
    assert said[0] in str(refused.value)
    columns = parse_columns([shlex.split(said[0].partition("--map ")[2])[0]])
    mapped = import_recording(path, columns=columns)
    assert mapped[2].lines()[-1].startswith("humidity") or "--map" not in mapped[2].lines()[-1]
    assert np.isfinite(mapped[0].readings[0, 0, CHANNEL_NAMES.index(channel)])


REFUSED = {
    "no header": ("1,2\n3,4\n", {}, "no header"),
    "empty": ("", {}, "no header"),
    "no channel": (VENDORS["thingspeak"].text, {}, "columns={'field1': 'temperature'}"),
    "no time": ("when,temperature\nnow,21\nthen,22\n", {}, "columns={'COLUMN': 'time'}"),
    "unknown column": (rows("0,21"), {"columns": {"temp": "temperature"}}, "allowed: time, temp"),
    "unknown of many": (
        "time," + ",".join(f"TC_{k} (C)" for k in range(99)) + "\n0" + ",21" * 99 + "\n",
        {"columns": {"TC_7": "co", "TC_98": "co2", "TC": "pm25"}},
        "'TC' (columns); allowed: time, TC_0 (C), ",
    ),
    "unknown zone": (rows("0,21"), {"zone": "Berlin"}, "Europe/Berlin"),
    "unknown preset": (rows("0,21"), {"preset": "acme"}, "purpleair"),
    "no numbers": (rows("0,warm", "10,hot", "20,hot"), {}, "columns={'COLUMN': 'CHANNEL'}"),
    "rooms for one sensor": (ODDITIES["rooms in columns"].text, {"sensor": "x"}, "columns="),
    "two separators": (rows(*(f"{k},21,5,6,1" for k in range(9))), {}, "semicolons"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refuses(name: str, tmp_path: Path):
    text, options, words = REFUSED[name]
    with pytest.raises(InputError) as refused:
        import_recording(write(tmp_path, text), **options)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["temperature=X", "smell=F", "temperature", "co2="])
def test_refuses_units(text: str):
    with pytest.raises(InputError, match="allowed: "):
        parse_units([text])
    with pytest.raises(InputError, match="came twice"):
        parse_units(["temperature=F", "temperature=K"])


def test_units_are_taken_by_name_in_python(tmp_path: Path):
    """A name ended in AttributeError: 'str' object has no attribute 'apply'."""
    path = write(tmp_path, rows("2026-11-20T12:00:00Z,68,5", header="time,temperature,pm25"))
    by_name = import_recording(path, units={"temperature": "degF", "pm25": "mg/m3"})[0]
    parsed = import_recording(path, units=parse_units(["temperature=F", "pm25=mg/m3"]))[0]
    np.testing.assert_array_equal(by_name.readings, parsed.readings)
    assert by_name.readings[0, 0, :2].tolist() == [20.0, 5000.0]


BAD_VALUES = {
    "an unknown unit": ({"units": {"temperature": "R"}}, '"temperature": "F"'),
    "no unit": ({"units": {"temperature": None}}, '"temperature": "F"'),
    "a number for a unit": ({"units": {"temperature": 1.8}}, '"temperature": "F"'),
    "an unknown channel": ({"units": {"smell": "F"}}, "temperature, pm25"),
    "a channel that is none": ({"units": {3: "F"}}, "temperature, pm25"),
    "units as texts": ({"units": ["temperature=F"]}, 'takes {"temperature": "F"}'),
    "units as a text": ({"units": "temperature=F"}, 'takes {"temperature": "F"}'),
    "an unknown target": ({"columns": {"t": "smell"}}, "time, sensor, ignore, temperature"),
    "no target": ({"columns": {"t": None}}, "time, sensor, ignore, temperature"),
    "columns as texts": ({"columns": ["t=temperature"]}, 'takes {"Temp (F)": "temperature"}'),
    "a decimal sign": ({"decimal": ";"}, '"." or ","'),
    "a zone": ({"zone": "Berlin"}, "Europe/Berlin"),
    "a zone that is no text": ({"zone": 1}, "Europe/Berlin"),
    "a preset": ({"preset": "acme"}, "purpleair"),
    "a preset that is no text": ({"preset": 1}, "purpleair"),
}


@pytest.mark.parametrize("name", BAD_VALUES)
def test_bad_values_in_python_are_one_line(name: str, tmp_path: Path):
    options, allowed = BAD_VALUES[name]
    with pytest.raises(InputError) as refused:
        import_recording(write(tmp_path, rows("0,21")), **options)
    assert allowed in str(refused.value)
    assert "\n" not in str(refused.value)


def test_words_and_banners_are_noted_as_data_check_does(tmp_path: Path):
    body = "".join(f"{k},{cell}\n" for k, cell in enumerate(("21", "unavailable", "off", "n/a")))
    path = write(tmp_path, f"AirBox v2\ntime_s,temperature_c\n{body}")
    checked, imported = read_recording(path)[1], import_recording(path)[1]
    assert len(checked.notes) == 2
    assert set(checked.notes) <= set(imported.notes)


def test_maps_take_names_with_an_equals_sign():
    assert parse_columns(["a=b=co2"]) == {"a=b": "co2"}
    for text in ("co2", "a=smell"):
        with pytest.raises(InputError, match="allowed: COLUMN=CHANNEL"):
            parse_columns([text])


def test_a_mapped_column_keeps_the_unit_of_its_name(tmp_path: Path):
    """Once they were mapped, degF and mg/m3 were read as degC and ug/m3."""
    text = rows(
        "2026-11-20T12:00:00Z,68,0.008,3", header="time,TC_ceiling_F,aerosol_mgm3,x [mg/m3]"
    )
    columns = {"TC_ceiling_F": "temperature", "aerosol_mgm3": "pm25", "x [mg/m3]": "co"}
    imported = import_recording(write(tmp_path, text), columns=columns)
    assert [column.unit for column in imported[2].columns] == ["F", "mg/m3", "mg/m3"]
    assert imported[0].readings[0, 0, [0, 1]].tolist() == pytest.approx([20.0, 8.0])


UNITS_BELOW = "Time,TC_1,CO_A,Smoke\ns,C,mol/mol,g/m3\n0,33.8,4e-06,0.5\n10,34,9e-06,0.6\n"


@pytest.mark.parametrize("names", [("TC_1", "CO_A"), ("TC_1 (C)", "CO_A (mol/mol)")])
def test_a_row_of_units_below_the_header(names: tuple[str, str], tmp_path: Path):
    """No name of the file could be mapped, and mol/mol was read as ppm."""
    columns = dict(zip(names, ("temperature", "co"), strict=True))
    recording, check, guess = import_recording(write(tmp_path, UNITS_BELOW), columns=columns)
    assert {column.channel: column.unit for column in guess.columns} == {
        "temperature": "C", "co": "fraction"
    }  # fmt: skip
    co = recording.readings[:, 0, CHANNEL_NAMES.index("co")]
    assert co.tolist() == pytest.approx([4.0, 9.0])
    assert not [note for note in check.notes if "no known unit" in note]


# as a test room's logger writes: two ports of analysers, and what no channel is before them
MANY = [f"BDP_{k} (m/s)" for k in range(40)]
PORTS = ["CO_A (ppm)", "CO2_A (ppm)", "CO_B (ppm)", "CO2_B (ppm)"]


def wide(tmp_path: Path, names: list[str]) -> Path:
    text = [",".join(["Time (s)", *names])]
    text += [",".join([str(10 * k), *(str(500 + n) for n in range(len(names)))]) for k in range(9)]
    return write(tmp_path, "\n".join(text))


def test_every_ignored_column_is_looked_at_for_a_unit(tmp_path: Path):
    """Thermocouples beyond the twentieth column stood behind the dots, without a hint."""
    wires = [f"TC_{k} (C)" for k in range(9)]
    _, _, guess = import_recording(wide(tmp_path, [*MANY, *PORTS[:2], *wires]))
    fits = [f"\"{name}\" is ignored; if it is temperature: --map '{name}=temperature'"
            for name in wires[:4]]  # fmt: skip
    assert guess.doubts() == [*fits, "5 more have such units"]
    assert guess.lines()[-5:] == guess.doubts()


def test_two_ports_of_two_channels_are_two_sensors(tmp_path: Path):
    """Port B was lost without a word."""
    recording, _, guess = import_recording(wide(tmp_path, [*MANY, *PORTS]))
    assert recording.sensors == ("A", "B")
    gases = [CHANNEL_NAMES.index(name) for name in ("co", "co2")]
    assert recording.readings[0][:, gases].tolist() == [[540, 541], [542, 543]]
    assert [column.sensor for column in guess.columns] == ["A", "A", "B", "B"]


@pytest.mark.parametrize("names", [
    ["pm2.5_a", "pm2.5_b", "temperature"],  # two counters of one sensor
    ["pm2.5_atm_a", "pm2.5_atm_b", "temperature_a", "temperature_b", "time_stamp"],  # PurpleAir's
    ["CO_A", "CO_B", "CO2_A"],
    ["CO", "CO2", "CO_A", "CO2_A", "CO_B", "CO2_B"],  # a column without a letter is sensor A's
])  # fmt: skip
def test_other_columns_a_and_b_are_one_sensor_and_the_second_is_told_first(
    names: list[str], tmp_path: Path
):
    names = [name for name in names if name != "time_stamp"]
    path = wide(tmp_path, [*MANY, *names])
    if "temperature_a" in names:
        path.write_text(path.read_text().replace("Time (s)", "time_stamp"))
    recording, _, guess = import_recording(path)
    assert len(recording.sensors) == 1
    (ignored,) = [line for line in guess.lines() if line.startswith("ignored: ")]
    second = next(name for name in names if name.endswith(("_b", "_B")))
    assert second in ignored.removeprefix("ignored: ").split(", ")[:3]


@pytest.mark.parametrize("units", [{}, {"pm25": "mg/m3"}])
def test_a_unit_that_is_not_known_is_told(units: dict[str, str], tmp_path: Path):
    path = write(tmp_path, UNITS_BELOW)
    _, check, _ = import_recording(path, columns={"Smoke": "pm25"}, units=units)
    told = [note for note in check.notes if "'g/m3' is no known unit of pm25" in note]
    assert len(told) == (not units)
    assert all('taken in ug/m3; units={"pm25": "UNIT"}' in note for note in told)


def test_the_guess_names_the_sensor_that_the_recording_has(tmp_path: Path):
    """Each instrument's own word stood as a sensor, where all of them became sensor A."""
    text = rows("2026-11-20T12:00:00Z,21,8", header="time,Room Temp (C),DustTrak PM2.5 (ug/m3)")
    imported = import_recording(write(tmp_path, text))
    assert imported[0].sensors == ("A",)
    assert {column.sensor for column in imported[2].columns} == {""}


@pytest.mark.parametrize("name", VENDORS)
def test_a_hint_is_a_command_that_runs(name: str, tmp_path: Path):
    path = write(tmp_path, VENDORS[name].text)
    hint = import_hint(path)
    if VENDORS[name].options.get("columns"):  # nothing in the file says what its fields are
        assert hint is None
        return
    assert hint is not None
    words = shlex.split(hint)
    assert words[:4] == ["saafe", "data", "import", str(path)]
    words[4] = str(tmp_path / "out.csv")
    result = CliRunner().invoke(saafe, words[1:])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("time", "zone", "clock"),
    [("2026-11-20T12:0{k}:00+05:30", None, "+05:30"), ("2026-11-20 12:0{k}:00 EST", None, "-05:00"),
     ("20261120T120{k}00-0330", None, "-03:30"), ("20.11.2026 12:0{k}", "Asia/Kolkata",
     "Asia/Kolkata"), ("2026-11-20T12:0{k}:00Z", None, ""), ("2026-11-20 12:0{k}", "UTC", ""),
     ("2026-11-20T12:0{k}:00+00:00", None, ""), ("2026-11-20 12:0{k}", None, ""),
     ("179520000{k}", None, "")],
)  # fmt: skip
def test_a_clock_that_is_not_utc_s_is_noted(
    time: str, zone: str | None, clock: str, tmp_path: Path
) -> None:
    """`--between 07:30` of an Indian home was 13:00 there, and nothing had said so."""
    lines = [f"{time.format(k=k)};{20 + k}" for k in range(8)]
    path = write(tmp_path, "\n".join(["time;temperature", *lines]) + "\n")
    recording, check, _ = import_recording(path, zone=zone)
    notes = [note for note in check.notes if "kept in UTC" in note]
    said = f"times of {clock} are kept in UTC; --between and pictures use UTC"
    assert notes == ([said] if clock else [])
    if clock:
        assert recording.start is not None
        assert recording.start.utcoffset() == timedelta(0)


@pytest.mark.parametrize("name", VENDORS)
def test_a_refusal_names_options_that_read_the_export_as_it_is(name: str, tmp_path: Path):
    """It named the import alone, while the command that refused takes --unit and the like."""
    path = write(tmp_path, VENDORS[name].text)
    if import_hint(path) is None:
        return
    refused = CliRunner().invoke(saafe, ["data", "check", str(path)])
    assert isinstance(refused.exception, InputError)
    words = shlex.split(str(refused.exception).partition("as it is: ")[2].partition("; ")[0])
    read = CliRunner().invoke(saafe, ["data", "check", str(path), *words])
    assert read.exit_code == 0, read.exception
    with pytest.raises(InputError) as error:  # as of `evaluate`, which takes no such option
        read_recorded(path)
    assert "as it is" not in str(error.value)


def test_a_hint_leaves_out_what_is_guessed_and_writes_beside_the_file(tmp_path: Path):
    """It named every column that the import takes anyway, and an OUT in the current folder."""
    path = write(tmp_path, "Time,Temp (F)\n2026-11-20T12:00:00Z,70\n2026-11-20T12:01:00Z,71\n")
    out = tmp_path / f"{path.name.partition('.')[0]}-saafe.csv"
    assert import_hint(path) == f"saafe data import {path} {out}"


def test_command_shows_the_guess_before_the_check(tmp_path: Path):
    path, out = write(tmp_path, VENDORS["purpleair"].text), tmp_path / "home.csv"
    result = CliRunner().invoke(saafe, ["data", "import", str(path), str(out), "--sensor", "hall"])
    assert result.exit_code == 0, result.output
    shown = result.stderr.splitlines()
    assert shown[:2] == ["preset: purpleair", "time: time_stamp (s since 1970)"]
    assert 'temperature: "temperature" in F, sensor hall' in shown
    assert shown[-1] == "ignored: pm2.5_cf_1, sensor_index"
    checked = result.stdout.splitlines()[0]
    checked = checked.replace(":", ": ") + result.stdout.splitlines()[1].strip()
    assert checked.endswith("2 rows, 1 sensor (hall), 60 s, median period 60 s")
    assert out.read_text().splitlines()[1] == "2026-11-20T12:00:00+00:00,hall,21.0,7.0,45.0"
    result = CliRunner().invoke(saafe, ["data", "import", str(path), str(out), "--json"])
    document = json.loads(result.stdout)
    assert document["guess"]["preset"] == "purpleair"
    assert document["check"]["rows"] == 2


def test_every_preset_is_tried():
    assert {preset.name for preset in PRESETS} <= {
        name for case in VENDORS for name in [case.partition(",")[0].split()[0]]
    }


FORMS = {
    "ISO": lambda t: t.isoformat(),
    "UTC": lambda t: f"{t:%Y-%m-%d %H:%M:%S} UTC",
    "day first": lambda t: f"{t:%d.%m.%Y %H:%M:%S}",
    "AM/PM": lambda t: f"{t.month}/{t.day}/{t.year} {t:%I:%M:%S %p}",
    "s": lambda t: f"{t.timestamp():.0f}",
    "ms": lambda t: f"{t.timestamp() * 1000:.0f}",
    "Go": lambda t: f"{t:%Y-%m-%d %H:%M:%S} +0000 UTC",
}


@settings(max_examples=60, deadline=None)
@given(
    readings=st.lists(
        st.tuples(st.integers(-300, 849), st.none() | st.integers(400, 30_000)),  # 85.0 is masked
        min_size=2, max_size=12,
    ),
    separator=st.sampled_from([",", ";", "\t", "|"]),
    decimal=st.sampled_from([".", ","]),
    form=st.sampled_from(sorted(FORMS)),
    is_newest_first=st.booleans(),
    day=st.integers(1, 28),
)  # fmt: skip
def test_an_export_in_any_form_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    readings: list[tuple[int, int | None]],
    separator: str,
    decimal: str,
    form: str,
    is_newest_first: bool,
    day: int,
):
    start = datetime(2026, 10, day, 23, 50, tzinfo=UTC)
    lines = []
    for k, (tenths, co2) in enumerate(readings):
        number = f"{tenths / 10:.1f}".replace(".", decimal)
        number = f'"{number}"' if decimal == separator else number
        stamp = FORMS[form](start + timedelta(seconds=60 * k))
        lines.append(separator.join([stamp, number, "" if co2 is None else str(co2)]))
    lines = lines[::-1] if is_newest_first else lines
    text = rows(*lines, header=separator.join(["time", "Temperature (°C)", "CO2 (ppm)"]))
    path = write(tmp_path_factory.mktemp("export"), text)
    recording, _, _ = import_recording(path, zone="UTC")
    assert recording.start == start
    assert recording.times_s.tolist() == [60.0 * k for k in range(len(readings))]
    np.testing.assert_allclose(
        recording.readings[:, 0, 0], [t / 10 for t, _ in readings], atol=1e-4
    )
    wanted = [np.nan if c is None else c for _, c in readings]
    if np.isfinite(wanted).any():
        np.testing.assert_allclose(recording.readings[:, 0, 2], wanted)


def test_the_rows_of_a_long_table_are_not_searched_for_names(tmp_path: Path):
    """What a name means takes long to find: a million rows took a minute."""
    asked: list[str] = []
    path = tmp_path / "long.csv"
    path.write_text(rows(*(f"{60 * k};21,{k % 9}" for k in range(3000)), header="time_s;temp"))
    export = read_cells_of(path, lambda n: bool(asked.append(n)) or n in ("time_s", "temp"))
    assert export.frame.height == 3000
    assert len(asked) < 200


@pytest.mark.parametrize(("most", "hinted"), [(20_000_000, True), (100, False)])
def test_a_large_file_is_not_read_for_each_zone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, hinted: bool
):
    """A hint is not worth minutes before the refusal is said."""
    hours = [f"2026-10-25 0{h}:{m:02d}" for h in (1, 2, 2, 3) for m in range(0, 60, 5)]
    path = tmp_path / "home.csv"
    path.write_text(
        rows(*(f"{hour};21,{k % 9}" for k, hour in enumerate(hours)), header="time;temp")
    )
    tried: list[object] = []
    monkeypatch.setattr("saafe.readers.export_hints.MOST_TRIED_BYTES", most)
    real = import_recording

    def counted(path: Path, zone: str | None = None, **told):
        tried.append(zone)
        if zone is None:
            raise InputError("no")
        return real(path, zone=zone, **told)

    monkeypatch.setattr("saafe.readers.export_hints.import_recording", counted)
    assert bool(import_hint(path)) == hinted
    assert len(tried) > 1 if hinted else tried == [None]


@settings(max_examples=60, deadline=None)
@given(value=st.integers(-(10**7), 10**7), decimal=st.sampled_from([".", ","]))
def test_numbers_with_thousands_come_back(value: int, decimal: str):
    text = f"{value / 100:,.2f}"
    text = text if decimal == "." else text.translate(str.maketrans(",.", ".,"))
    cells = pl.Series([text, f"{text} ppm"])
    assert guess_decimal([cells], ";") == decimal
    numbers = read_cells(cells, decimal)
    assert numbers.values.tolist() == [value / 100] * 2
    assert numbers.units.to_list() == ["", "ppm"]


def test_no_form_is_read_from_words():
    assert read_moments(pl.Series(["on", "off", "on"]), "state") is None


DEEP = {
    "lists": "[" * 100_000 + "]" * 100_000,
    "objects": '{"a":' * 20_000 + "1" + "}" * 20_000,
    "objects that JSON reads": '[{"time_s":0,"a":' + '{"a":' * 900 + "1" + "}" * 901 + "]",
    "an unfinished list": "[" * 20_000,
    "one line of many": '{"time_s":0,"co_ppm":20}\n' + '{"a":' * 20_000 + "1" + "}" * 20_000,
}  # fmt: skip


@pytest.mark.parametrize("case", DEEP)
def test_json_that_is_nested_too_deeply_is_refused(case: str, tmp_path: Path):
    file = tmp_path / "deep.json"
    file.write_text(DEEP[case])
    for read in (import_recording, read_recording):
        with pytest.raises(InputError):
            read(file)
    assert import_hint(file) is None


@pytest.mark.parametrize("name", ["a b.csv", "a\nb'\\.csv", "\x1b[31m.csv", "é'.csv", "-x.csv"])
def test_the_command_that_is_offered_names_the_file(name: str, tmp_path: Path):
    file = tmp_path / name
    rows = "".join(f"2026-01-01 12:0{k}:00;20,5\n" for k in range(5))
    file.write_text("Zeit;Temperatur (°C)\n" + rows)
    hint = import_hint(file)
    assert hint is not None
    assert hint.isprintable()
    words = ["bash", "-c", f"printf '%s\\0' {hint}"]
    said = subprocess.run(words, capture_output=True, text=True, check=True).stdout.split("\0")
    assert said[3] == str(file)


def test_more_sensors_than_a_space_has_are_refused_before_they_are_shown(tmp_path: Path):
    names = [f"room{k} temperature" for k in range(3000)]
    text = "\n".join([",".join(["time", *names])] + [
        f"2026-01-01 12:0{k}:00" + ",20.5" * len(names) for k in range(3)
    ])  # fmt: skip
    (tmp_path / "wide.csv").write_text(text)
    with pytest.raises(InputError, match="3,000 sensors; allowed: at most 64"):
        read_export(tmp_path / "wide.csv")


def test_the_case_of_a_header_does_not_matter_in_files_and_streams(tmp_path: Path):
    text = " Time_S , SENSOR,Temperature_C,CO_ppm\n0,k,20.5,0\n10,k,20.6,1\n"
    (tmp_path / "a.csv").write_text(text)
    recording, _ = read_recording(tmp_path / "a.csv")
    rows = list(read_rows(text.splitlines()))
    assert [row.sensor for row in rows] == ["k", "k"]
    assert recording.sensors == ("k",)
    np.testing.assert_array_equal(
        recording.readings[:, 0], np.array([row.readings for row in rows], np.float32)
    )
    (tmp_path / "a.csv").write_text("time_s,CO_ppm,co_ppm\n0,1,2\n")
    with pytest.raises(InputError, match="came twice"):
        read_recording(tmp_path / "a.csv")


def test_an_export_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "export.csv"
    path.write_text("time;temperature\n2026-01-01 00:00:00;20,5\n2026-01-01 00:01:00;20,6\n")
    before = path.read_bytes()
    for out in (path, tmp_path / "." / "export.csv"):
        result = CliRunner().invoke(saafe, ["data", "import", str(path), str(out)])
        assert result.exit_code != 0
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("name", "channel"),
    [
        ("sensor.x_air_quality_pm25", "pm25"),
        ("sensor.x_air_quality_co2", "co2"),
        ("Air Quality PM2.5", "pm25"),
        ("sensor.x_air_quality_index_pm25", None),
        ("sensor.x_air_quality", None),
    ],
)
def test_a_quantity_of_air_quality_is_read_and_its_index_is_not(name: str, channel: str | None):
    meaning = find_meaning(name)
    assert (meaning and meaning.channel) == channel


@pytest.mark.parametrize(
    "name",
    [
        "color_temp", "color_temp_startup", "light.hall_color_temp", "Colour temperature",
        "hue_power_on_color_temperature", "eco_temperature", "comfort_temperature",
        "comfort_humidity_max", "away_preset_temperature", "holiday_temperature",
        "antifrost_temperature",
        "frost_protection_temperature", "open_window_temperature", "max_temperature_limit",
        "temperature_sensitivity", "temperature_precision", "temperature_periodic_report",
        "temperature_report", "temperature_delta", "humidity_delta", "temperature_display_mode",
        "soil_temperature", "soil_humidity", "sound_volume", "noise_detected",
        "temperature_flag", "temperature_raw_adc", "temperature_stddev", "temperature_variance",
        "temperature change", "temp diff", "temperature_rate_of_change", "temperature_sum",
        "co2_estimated", "co2_equivalent", "VOC equivalent CO2", "CO2 (estimated)", "CO %LEL",
        "humidity ratio", "humidity mixing ratio", "co2_ratio", "sound dBFS",
        "surface temperature", "balcony_temperature",
        "garden temperature", "Temperature (outdoor)", "Temperatur (außen)", "Humidity [Outside]",
        "Temperature (set point)", "Temperature (dew point)", "Temperature (water)",
        'temperature{location="outdoor"}',
    ],
)  # fmt: skip
def test_what_a_smart_home_names_alike_is_not_the_air(name: str):
    assert find_meaning(name) is None


@pytest.mark.parametrize(
    ("name", "channel"),
    [
        ("local_temperature", "temperature"),
        ("CO2 mixing ratio (ppm)", "co2"),
        ("sensor.comfort_room_temperature", "temperature"),
        ("sensor.first_floor_temperature", "temperature"),
        ("sensor.holiday_home_humidity", "humidity"),
        ("max_temperature", "temperature"),  # a statistic of a logger
        ("sound_level", "sound"),
        ("garden_room_temperature", "temperature"),
        ("Temperature (unit: °C)", "temperature"),
        ("Temperature (device: kitchen)", "temperature"),
        ('temperature{instance="esp32",room="kitchen"}', "temperature"),
        ("CO2 (Living Room)", "co2"),
    ],
)
def test_rooms_may_be_called_what_they_like(name: str, channel: str):
    meaning = find_meaning(name)
    assert (meaning and meaning.channel) == channel


@pytest.mark.parametrize("name", ["sensor", "room", "device", "mac"])
@pytest.mark.parametrize("count", [64, 65, 100])
def test_too_many_sensors_are_refused_and_never_made_one(
    count: int, name: str, tmp_path: Path
) -> None:
    rows = [f"{k},place{k % count},21.{k % 10}" for k in range(5 * count)]  # all times differ
    path = tmp_path / "hotel.csv"
    path.write_text(f"time_s,{name},temperature\n" + "\n".join(rows) + "\n")
    if count <= 64:
        assert len(import_recording(path)[0].sensors) == count
        return
    with pytest.raises(InputError, match="at most 64 in a space"):
        import_recording(path)
    assert import_hint(path) is None


ODD_TYPES = {
    "list": pl.Series([[1.0]] * 30),
    "array": pl.Series([[1.0, 2.0]] * 30, dtype=pl.Array(pl.Float64, 2)),
    "struct": pl.Series([{"a": 1.0}] * 30),
    "bytes": pl.Series([b"\xff\xfe"] * 30),
    "duration": pl.Series([timedelta(seconds=10 * k) for k in range(30)]),
    "date": pl.Series([datetime(2026, 1, 1).date()] * 30),
    "time of day": pl.Series([datetime(2026, 1, 1).time()] * 30),
    "moment": pl.Series([datetime(2026, 1, 1) + timedelta(seconds=10 * k) for k in range(30)]),
    "bool": pl.Series([True, False] * 15),
    "null": pl.Series([None] * 30),
    "large": pl.Series([2**63 + 5] * 30, dtype=pl.UInt64),
    "decimal": pl.Series(["20.5"] * 30).cast(pl.Decimal(10, 2)),
    "category": pl.Series(["20.5"] * 30, dtype=pl.Categorical),
}


@pytest.mark.parametrize("odd", ODD_TYPES)
@pytest.mark.parametrize("column", ["time_s", "time", "sensor", "temperature_c", "label", "other"])
def test_no_type_of_a_parquet_column_is_more_than_one_line(
    column: str, odd: str, tmp_path: Path
) -> None:
    times = {"time_s": [10.0 * k for k in range(30)]} if column != "time" else {}
    plain = {**times, "sensor": ["A"] * 30, "temperature_c": [20.0] * 30, "co2_ppm": [500.0] * 30}
    frame = pl.DataFrame(plain).with_columns(ODD_TYPES[odd].alias(column))
    path = tmp_path / "odd.parquet"
    frame.write_parquet(path)
    for read in (read_recorded, import_recording):
        largest, said = 500.0, ""
        try:
            largest = float(np.nanmax(read(path)[0].readings))
        except InputError as error:
            said = str(error)
        assert largest == 500.0
        assert "\n" not in said


@pytest.mark.parametrize(
    "second", ["time_s,humidity_pct,temperature_c", "time_s,temperature_c,humidity_pct,co2_ppm"]
)
def test_a_later_header_is_of_another_table(second: str, tmp_path: Path) -> None:
    """Rows above a richer header were lost; those below a shuffled one were read by the first."""
    value = {"time_s": "", "temperature_c": "21", "humidity_pct": "40", "co2_ppm": "600"}
    lines = ["time_s,temperature_c,humidity_pct", *(f"{10 * k},21,40" for k in range(50))]
    rest = [value[name] for name in second.split(",")[1:]]
    lines += [second, *(",".join([str(500 + 10 * k), *rest]) for k in range(50))]
    path = tmp_path / "logger.csv"
    path.write_text("\n".join(lines) + "\n")
    recording, check, _ = import_recording(path)
    assert len(recording.times_s) == 100
    temperature, humidity = (recording.readings[:, 0, k] for k in (TEMPERATURE, HUMIDITY))
    assert set(temperature) == {21.0}
    assert set(humidity) == {40.0}
    assert any("another header, first in line 52" in note for note in check.lines())

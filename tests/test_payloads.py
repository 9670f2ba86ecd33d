"""What a message's names mean: the room's air, or a machine's."""

import pytest

from saafe.recordings import RowReader
from saafe.sensors import CHANNEL_NAMES, COLUMNS
from saafe.serving.payloads import meaning, read_payload
from saafe.simulator import devices

NOT_THE_ROOM = """
internal chip cpu esp32 mcu soc gpu processor board device battery inverter motor engine compressor
boiler heatpump heat_pump flow return supply radiator heater furnace water hot_water tank pool
pipe hot_tub coolant oven stove grill fridge refrigerator freezer dishwasher washing_machine dryer
exhaust outlet inlet outside outdoor target setpoint set desired eco away dew_point wind_chill
"""
ROOMS = """
living_room kitchen bedroom boiler_room pool_room plant_room heater_room indoor inside ambient
office_2 first_floor settee dayroom flowers tankard supplier mcuisine heizungsraum
"""


@pytest.mark.parametrize("word", NOT_THE_ROOM.split())
@pytest.mark.parametrize("form", ["{}_temperature", "{}_temp", "node_1_{}_temperature"])
def test_the_temperature_of_a_machine_is_not_the_rooms(word: str, form: str) -> None:
    """Flow water of 60 degC alarmed as a room of 60 degC."""
    name = form.format(word)
    assert read_payload(b"61", name) == {}
    assert read_payload(b'{"%s": 61, "power": 3}' % name.encode(), "") == {}


@pytest.mark.parametrize("word", ROOMS.split())
def test_a_room_may_be_called_nearly_so(word: str) -> None:
    assert read_payload(b"21", f"{word}_temperature") == {"temperature_c": "21"}


@pytest.mark.parametrize(
    "name",
    [
        "particulate_matter__2_5__m_concentration", "particulate_matter__2_5_m_concentration",
        "particulate_matter_25m_concentration", "particulate_matter_2_5um_concentration",
        "particulate_matter_2_5", "Particulate Matter <2.5µm Concentration", "pm_2_5",
        "pm25_concentration", "pm_2_5_concentration", "pm_2_5_m_weight_concentration",
    ],
)  # fmt: skip
def test_particles_under_2_5_um_by_any_name_of_a_topic(name: str) -> None:
    found = meaning(name)
    assert found is not None
    assert found.channel == "pm25"


@pytest.mark.parametrize(
    "name",
    [
        "particulate_matter_10m_concentration", "particulate_matter__10_0__m_concentration",
        "particulate_matter__1_0__m_concentration", "pm_10", "particulate_matter_25m_aqi",
    ],
)  # fmt: skip
def test_particles_of_another_size_are_not_taken_for_them(name: str) -> None:
    assert meaning(name) is None


@pytest.mark.parametrize("name", devices.device_names())
def test_what_a_device_sends_in_place_of_a_reading_is_none(name: str) -> None:
    """An IKEA VINDSTYRKA's 163.835 degC alarmed."""
    for channel, row in devices.load_device(name).channels.items():
        index = CHANNEL_NAMES.index(channel)
        for value in row.sentinels:
            read = RowReader().take("A", {COLUMNS[index]: f"{value:g}"}, 0.0)
            assert read.readings[index] != read.readings[index], (channel, value)  # NaN

"""The page in a real browser: what people see, by mouse, by keyboard, on a phone, in the dark."""

import json
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from serving_fixtures import eventually, free_port
from test_web import SMOKE, Served, link_to

webdriver = pytest.importorskip("selenium.webdriver", reason="needs selenium")
StaleElementReferenceException = pytest.importorskip(
    "selenium.common.exceptions", reason="needs selenium"
).StaleElementReferenceException
CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="needs chromium: apt-get install chromium chromium-driver"
    ),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]  # fmt: skip


def browser(width: int = 1280, height: int = 900, *, dark: bool = False) -> Any:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    words = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
             f"--window-size={width},{height}", "--force-device-scale-factor=1"]  # fmt: skip
    for word in words:
        options.add_argument(word)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    one = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    one.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    if dark:
        one.execute_cdp_cmd(
            "Emulation.setEmulatedMedia",
            {"features": [{"name": "prefers-color-scheme", "value": "dark"}]},
        )
    return one


def fill(served: Served) -> None:
    """Two hours of three rooms; it burns in the kitchen, and a sensor of the hall has failed."""
    import random

    rng = random.Random(1)
    end = time.time()
    for name in ("Kitchen", "Bedroom", "Hall"):
        rows = []
        for k in range(720):
            hot = max(k - 700, 0) ** 2 if name == "Kitchen" else 0
            cook = 40.0 if name == "Kitchen" and 300 < k < 360 else 0.0
            rows.append({
                "space": name, "sensor": "shelf", "time_s": end - 7200 + 10 * k,
                "temperature": round(21 + 0.002 * k + rng.gauss(0, 0.05) + 0.1 * hot, 2),
                "pm25": round(abs(7 + rng.gauss(0, 0.6)) + cook * rng.random() + 4 * hot, 1),
                "co2": round(560 + 0.2 * k + rng.gauss(0, 4) + 5 * hot),
                "humidity": round(44 + rng.gauss(0, 0.1), 1),
                "co": "unavailable" if name == "Hall" and k > 600 else round(0.05 * hot, 2),
            })  # fmt: skip
        assert served.post(*rows)[0] == 202


@pytest.fixture(scope="module")
def house() -> Iterator[Served]:
    one = Served(SMOKE)
    fill(one)
    yield one
    one.close()


@pytest.fixture
def desktop() -> Iterator[Any]:
    one = browser()
    yield one
    one.quit()


def find(one: Any, css: str) -> list[Any]:
    return one.find_elements("css selector", css)


def shown(one: Any, css: str, text: str = "") -> Any:
    """An element that is on the page and has a text, once it is."""
    return eventually(
        lambda: next((e for e in find(one, css) if e.is_displayed() and text in e.text), None)
    )


def test_what_people_see(house: Served, desktop: Any) -> None:
    desktop.get(f"http://127.0.0.1:{house.port}/")
    shown(desktop, ".banner", "Fire alarm: Kitchen")
    cards = eventually(lambda: find(desktop, ".card"))
    names = [card.find_element("css selector", ".name").text for card in cards]
    assert names == ["Kitchen", "Hall", "Bedroom"]  # the most urgent first
    assert [card.find_element("css selector", ".pill").text[2:] for card in cards] == [
        "Alarm", "Fault", "Calm",
    ]  # fmt: skip
    assert "PM2.5" in cards[0].text
    shown(desktop, "#counts", "1 alarm · 1 fault · 1 calm")
    shown(desktop, ".dot", "live")
    assert "alarm" in desktop.title
    shown(desktop, "#events", "Sensor shelf")

    cards[0].click()
    shown(desktop, "#detail-title", "Kitchen")
    charts = eventually(lambda: find(desktop, ".chart svg"))
    labels = [chart.get_attribute("aria-label") for chart in charts]
    assert len(labels) == 6  # risk and five channels
    assert labels[0].startswith("Risk of fire: now 100 %")
    assert any(label.startswith("Temperature: now 5") for label in labels)
    shown(desktop, ".back").click()
    eventually(lambda: find(desktop, ".card"))
    click_card(desktop, "Hall")
    shown(desktop, ".faults", "Sensor shelf, CO: unavailable")


def click_card(browser: Any, name: str) -> None:
    """Click a space's card; the page draws them anew as readings come."""
    for attempt in range(5):
        try:
            shown(browser, ".card", name).click()
            return
        except StaleElementReferenceException:
            assert attempt < 4, "the card is drawn anew too often to be clicked"


def test_no_request_leaves_the_house(house: Served, desktop: Any) -> None:
    desktop.get(f"http://127.0.0.1:{house.port}/#/space/Kitchen")
    eventually(lambda: find(desktop, ".chart"))
    time.sleep(1.0)
    asked = [
        message["params"]["request"]["url"]
        for entry in desktop.get_log("performance")
        if (message := json.loads(entry["message"])["message"])["method"]
        == "Network.requestWillBeSent"
    ]
    assert len(asked) > 5
    assert all(url.startswith(f"http://127.0.0.1:{house.port}/") for url in asked), asked
    assert [e for e in desktop.get_log("browser") if e["level"] == "SEVERE"] == []


def test_an_alarm_is_acknowledged_by_keyboard_alone() -> None:
    from selenium.webdriver.common.keys import Keys

    served = Served(SMOKE)
    fill(served)
    one = browser()
    try:
        one.get(f"http://127.0.0.1:{served.port}/")
        shown(one, ".banner")
        seen = []
        for _ in range(6):
            one.switch_to.active_element.send_keys(Keys.TAB)
            focus = one.switch_to.active_element
            seen.append(focus.get_attribute("aria-label") or focus.text)
            if "Acknowledge" in seen[-1]:
                break
        assert seen[0] == "Skip to the spaces"
        assert seen[-1] == "Acknowledge the alarm of Kitchen"
        one.switch_to.active_element.send_keys(Keys.ENTER)
        eventually(lambda: not find(one, ".banner"))
        shown(one, "#events", "acknowledged")
        assert served.ask("GET", "/spaces/Kitchen")[1]["alarm"] is None
    finally:
        one.quit()
        served.close()


MARKS = "return document.getElementById('marks').textContent"  # its rows are replaced


def test_an_alarm_is_said_to_be_harmless_by_keyboard_alone(tmp_path: Path) -> None:
    from selenium.webdriver.common.keys import Keys

    served = Served(SMOKE, keep=tmp_path / "quiet")
    name = "Küche <img src=x onerror=alert(1)>"
    one = browser(390, 844)
    try:
        served.burn(name)
        (mark,) = eventually(lambda: served.ask("GET", "/raised")[1])
        assert mark["was"] == ""
        one.get(f"http://127.0.0.1:{served.port}/")
        row = shown(one, "#marks li", name)
        shown(one, "#raised .hint", "left out of the quiet days that saafe tune learns from")
        assert "teach" not in one.find_element("css selector", "body").text, "jargon"
        assert not find(one, "#raised img")
        assert one.execute_script(CONTRAST) == []
        assert one.execute_script(SMALL) == []
        assert one.execute_script("return document.documentElement.scrollWidth") <= 390
        button = row.find_element("css selector", "button")
        assert button.accessible_name.startswith(f"Harmless: alarm of {name}, ")
        for _ in range(20):
            one.switch_to.active_element.send_keys(Keys.TAB)
            if one.switch_to.active_element.text == "Harmless":
                break
        one.switch_to.active_element.send_keys(Keys.ENTER)
        eventually(lambda: "It was harmless." in one.execute_script(MARKS))
        assert served.ask("GET", "/raised")[1][0]["was"] == "harmless"
        said = "return document.getElementById('said').textContent"
        eventually(lambda: one.execute_script(said) == f"The alarm of {name} was harmless.")
        # the focus stays, so that a slip is taken back by one key
        assert one.switch_to.active_element.text == "Not harmless"
        one.switch_to.active_element.send_keys(Keys.SPACE)
        eventually(lambda: "It was a fire." in one.execute_script(MARKS))
        assert served.ask("GET", "/raised")[1][0]["was"] == "fire"
        assert [e for e in one.get_log("browser") if e["level"] == "SEVERE"] == []
    finally:
        one.quit()
        served.close()


def test_where_no_days_are_kept_nothing_is_asked_of_alarms(house: Served, desktop: Any) -> None:
    desktop.get(f"http://127.0.0.1:{house.port}/")
    shown(desktop, ".banner", "Fire alarm: Kitchen")
    shown(desktop, ".dot", "live")
    assert not find(desktop, "#raised")[0].is_displayed()


@pytest.mark.parametrize(
    ("width", "dark"), [(1280, False), (1280, True), (390, False), (390, True)]
)
def test_it_fits_and_can_be_read(house: Served, width: int, dark: bool) -> None:
    one = browser(width, 844, dark=dark)
    try:
        for place in ("", "#/space/Kitchen"):
            one.get("about:blank")
            one.get(f"http://127.0.0.1:{house.port}/{place}")
            eventually(lambda p=place: find(one, ".chart" if p else ".card"))
            assert one.execute_script("return document.documentElement.scrollWidth") <= width
            low = one.execute_script(CONTRAST)
            assert low == [], low
            small = one.execute_script(SMALL)
            assert small == [], small
    finally:
        one.quit()


# texts whose contrast with what is behind them is under WCAG's 4.5
CONTRAST = """
const light = (rgb) => rgb.slice(0, 3).map((v) => v / 255)
  .map((v) => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
  .reduce((sum, v, k) => sum + v * [.2126, .7152, .0722][k], 0);
const colour = (text) => {
  const n = text.match(/[\\d.]+/g).map(Number);
  return n.length > 3 && n[3] === 0 ? null : n;
};
const behind = (e) => {
  for (; e; e = e.parentElement) {
    const found = colour(getComputedStyle(e).backgroundColor);
    if (found) return found;
  }
  return [255, 255, 255];
};
const says = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
return [...document.querySelectorAll("body *")]
  .filter((e) => e.offsetParent && says(e) && !e.closest(".skip, .visually-hidden"))
  .map((e) => {
    const both = [light(colour(getComputedStyle(e).color)), light(behind(e))].sort((a, b) => a - b);
    return [e.textContent.trim().slice(0, 30), (both[1] + .05) / (both[0] + .05)];
  })
  .filter(([, ratio]) => ratio < 4.5);
"""
# what fingers press and is smaller than WCAG's 24 pixels
SMALL = """
return [...document.querySelectorAll("button, input")].filter((e) => e.offsetParent)
  .map((e) => [e.id || e.textContent, e.getBoundingClientRect()])
  .filter(([, box]) => box.height < 24 || box.width < 24).map(([name]) => name);
"""


def test_everything_has_a_name_for_a_screen_reader(house: Served, desktop: Any) -> None:
    desktop.get(f"http://127.0.0.1:{house.port}/")
    eventually(lambda: find(desktop, ".card"))
    tree = desktop.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    named = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in tree
        if not node["ignored"]
    ]
    for role, name in named:
        if role in ("button", "link", "textbox", "searchbox", "heading", "image"):
            assert name.strip(), (role, name)
    roles = {role for role, _ in named}
    assert {"banner", "main", "contentinfo", "alert", "table", "heading", "list"} <= roles
    assert desktop.execute_script("return document.documentElement.lang") == "en"


def test_names_are_text_and_nothing_else(desktop: Any) -> None:
    served = Served(SMOKE)
    try:
        name = "<img src=x onerror=alert(1)>/..&'\""
        served.post({"space": name, "sensor": "<b>s</b>", "co2": 500})
        desktop.get(f"http://127.0.0.1:{served.port}/")
        shown(desktop, ".card .name", name).click()
        shown(desktop, "#detail-title", name)
        eventually(lambda: find(desktop, ".chart"))
        assert not find(desktop, "main img, main b[onerror]")
    finally:
        served.close()


TOKEN = "a long and secret token"


def test_a_token_is_asked_for_and_taken_from_the_link() -> None:
    served = Served(SMOKE, token="a long and secret token")
    served.burn()
    one = browser()
    try:
        one.get(f"http://127.0.0.1:{served.port}/")
        field = shown(one, "#token")
        field.send_keys("wrong\n")
        shown(one, "#wrong", "This token is wrong")
        field.clear()
        field.send_keys("a long and secret token\n")
        shown(one, ".card", "kitchen")
        shown(one, ".dot", "live")
        one.execute_script("sessionStorage.clear()")
        one.get("about:blank")
        one.get(f"http://127.0.0.1:{served.port}/#token=a%20long%20and%20secret%20token")
        shown(one, ".card", "kitchen")
        assert "token" not in one.current_url
    finally:
        one.quit()
        served.close()


def test_a_server_that_comes_back_with_another_token_asks_for_it(desktop: Any) -> None:
    """Each start makes a new one: that is no lost connection, and what was shown stays grey."""
    served = Served(SMOKE, token="a long and secret token")
    served.burn()
    desktop.get(f"http://127.0.0.1:{served.port}/#token=a%20long%20and%20secret%20token")
    shown(desktop, ".banner", "kitchen")
    shown(desktop, ".dot", "live")
    served.close()
    shown(desktop, "#lost", "Connection lost")
    again = Served(SMOKE, token="another token, as long", port=served.port)
    try:
        field = shown(desktop, "#token")
        shown(desktop, "#wrong", "This token is wrong")
        assert not find(desktop, "#lost")[0].is_displayed()
        stale = "return document.body.classList.contains('stale')"
        assert desktop.execute_script(stale)
        field.send_keys("another token, as long\n")
        shown(desktop, ".empty", "No readings yet")
        eventually(lambda: not desktop.execute_script(stale))
        assert not find(desktop, ".banner")
    finally:
        again.close()


class Proxy(BaseHTTPRequestHandler):
    """What stands before saafe and goes on to answer once that has gone."""

    def do_GET(self) -> None:
        self.send_error(502)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.parametrize("has_proxy", [False, True])
@pytest.mark.parametrize("place", ["", "#/space/kitchen"])
def test_a_lost_connection_is_shown_and_mended(
    place: str, has_proxy: bool, desktop: Any, tmp_path: Path
) -> None:
    """The page looked alive after saafe had gone: only its footer said so."""
    grey = "return getComputedStyle(document.querySelector('main')).filter"
    served = Served(SMOKE, state=tmp_path / "s.sqlite")
    served.post({"space": "kitchen", "temperature": 21})
    desktop.get(f"http://127.0.0.1:{served.port}/{place}")
    shown(desktop, ".dot", "live")
    shown(desktop, ".chart" if place else ".card")
    assert not find(desktop, "#lost")[0].is_displayed()
    assert desktop.execute_script(grey) == "none"
    served.close()
    proxy = HTTPServer(("127.0.0.1", served.port), Proxy) if has_proxy else None
    if proxy is not None:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
    banner = shown(desktop, "#lost", "Connection lost. What you see is of ")
    assert banner.get_attribute("role") == "alert"
    assert banner.rect["y"] == 0
    shown(desktop, ".dot", "connection lost")
    assert desktop.execute_script(grey) == "grayscale(1)"
    assert desktop.execute_script(CONTRAST) == []
    if proxy is not None:
        proxy.shutdown()
        proxy.server_close()
    again = Served(SMOKE, state=tmp_path / "s.sqlite", port=served.port)
    try:
        eventually(lambda: not find(desktop, "#lost")[0].is_displayed())
        shown(desktop, ".dot", "live")
        assert desktop.execute_script(grey) == "none"
        again.burn()
        shown(desktop, ".banner", "kitchen")
    finally:
        again.close()


def test_a_broker_that_is_away_is_shown(desktop: Any) -> None:
    """All looked well while no sensor was heard."""
    served = Served(SMOKE)
    link = link_to(served, free_port())  # where nobody listens
    try:
        served.post({"space": "hall", "temperature": 21})
        desktop.get(f"http://127.0.0.1:{served.port}/")
        shown(desktop, ".card", "hall")
        assert not find(desktop, "#trouble")[0].is_displayed()
        served.wait(16.0)
        shown(desktop, "#trouble", "no connection to the broker since 20")
        assert desktop.execute_script(CONTRAST) == []
    finally:
        link.stop()
        served.close()


def test_cards_say_how_old_they_are_and_which_sensor_read_what(desktop: Any) -> None:
    """A space heard 13 minutes ago was calm, and two temperatures stood there without names."""
    served = Served(SMOKE)
    try:
        served.post({"space": "hall", "sensor": "door", "temperature": 20})
        served.wait(780.0)
        served.post({"space": "hall", "sensor": "shelf", "temperature": 23})
        served.post({"space": "den", "sensor": "desk", "temperature": 22})
        served.wait(320.0)
        desktop.get(f"http://127.0.0.1:{served.port}/")
        hall = shown(desktop, ".card", "hall").text
        assert "Temperature 20 °C (door, 18 min ago)" in hall
        assert "Temperature 23 °C (shelf)" in hall
        assert "% risk of fire\n5 min ago" in hall
        den = shown(desktop, ".card", "den").text
        assert "Temperature 22 °C" in den
        assert "desk" not in den  # there is but one
        shown(desktop, ".card", "hall").click()
        shown(desktop, "#detail-line", "Last reading 5 min ago")
    finally:
        served.close()


def test_what_was_acknowledged_is_not_just_calm(desktop: Any) -> None:
    """It was green, calm at 99 % and 99 degC, and the last of all."""
    served = Served(SMOKE)
    try:
        for name in ("attic", "zoo"):
            served.post({"space": name, "temperature": 21})
        served.burn("kitchen")
        served.ask("POST", "/spaces/kitchen/acknowledge")
        desktop.get(f"http://127.0.0.1:{served.port}/")
        shown(desktop, ".card", "kitchen")
        cards = [card.text.splitlines() for card in find(desktop, ".card")]
        assert [lines[0] for lines in cards] == ["kitchen", "attic", "zoo"]
        assert [lines[1] for lines in cards] == ["✓ Acknowledged", "● Calm", "● Calm"]
        assert cards[0][2].startswith("Acknowledged, quiet until ")
        colour = "return getComputedStyle(document.querySelector(arguments[0])).color"
        calm, seen = (
            desktop.execute_script(colour, f".pill.{s}") for s in ("calm", "acknowledged")
        )
        assert calm != seen
        shown(desktop, "#counts", "1 acknowledged · 2 calm")
        assert desktop.execute_script(CONTRAST) == []
        desktop.get(f"http://127.0.0.1:{served.port}/#/space/kitchen")
        shown(desktop, "#detail-state", "Acknowledged")
        shown(desktop, "#detail-line", "Acknowledged, quiet until ")
        served.wait(700.0)
        line = find(desktop, "#detail-line")[0]
        eventually(lambda: line.text.startswith("Last reading"))
        shown(desktop, "#detail-state", "Fault")  # silent meanwhile
    finally:
        served.close()


def test_banners_say_when_which_sensor_and_why_and_how_many_more_there_are(desktop: Any) -> None:
    served = Served(SMOKE)
    try:
        for k in range(7):
            served.burn(f"flat {k}")
        desktop.get(f"http://127.0.0.1:{served.port}/")
        shown(desktop, "#more-alarms", "2 more in alarm")
        banners = [one.text for one in find(desktop, ".banner")]
        assert len(banners) == 5
        for k, text in enumerate(banners):
            assert f"Fire alarm: flat {k} since " in text
            assert "sensor A, heat rule" in text
        shown(desktop, "#counts", "7 alarms")
        assert "7 alarms" in desktop.title
        for k in range(6):
            served.ask("POST", f"/spaces/flat%20{k}/acknowledge")
        eventually(lambda: len(find(desktop, ".banner")) == 1)
        assert not find(desktop, "#more-alarms")[0].is_displayed()
        shown(desktop, "#counts", "1 alarm · 6 acknowledged")
    finally:
        served.close()


OUTSIDE = """
const box = document.querySelector(".scroll").getBoundingClientRect();
return [...document.querySelectorAll("#events td, #events td *")]
  .filter((one) => one.getBoundingClientRect().right > box.right + .5
    || one.scrollWidth > one.clientWidth + 1 && one.clientWidth)
  .map((one) => one.textContent);
"""


@pytest.mark.parametrize("width", [320, 390, 700, 1280])
def test_events_can_be_read_at_any_width(width: int) -> None:
    """On a phone the table was wider than its box, and what had happened was off the edge."""
    served = Served(SMOKE)
    one = browser(width, 844)
    try:
        served.burn("Kitchen of the flat with a long name")
        served.post({"space": "hall", "sensor": "0x00124b0022aabbcc", "temperature": 21, "co": 1})
        served.post({"space": "hall", "sensor": "0x00124b0022aabbcc", "co": "unavailable"})
        one.get(f"http://127.0.0.1:{served.port}/")
        shown(one, "#events", "Sensor 0x00124b0022aabbcc, CO: unavailable")
        assert one.execute_script(OUTSIDE) == []
        assert one.execute_script("return document.documentElement.scrollWidth") <= width
        assert one.execute_script(CONTRAST) == []
        tree = one.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
        roles = [node["role"]["value"] for node in tree if not node["ignored"]]
        assert roles.count("row") == 3  # with the head
        assert roles.count("cell") == 8
    finally:
        one.quit()
        served.close()


def test_events_of_another_day_have_a_date_and_a_space_lists_its_own(desktop: Any) -> None:
    served = Served(SMOKE)
    try:
        old_s = time.time() - 3 * 86_400.0
        old = {"event": "warning", "time_s": old_s, "time": "2026", "space": "attic",
               "sensor": "A", "risk": 60.0, "cause": "model"}  # fmt: skip
        served.service.store.commit([], [old])
        served.burn("kitchen")
        desktop.get(f"http://127.0.0.1:{served.port}/")
        shown(desktop, "#events", "attic")
        texts = [one.text for one in find(desktop, "#events time")]
        day = desktop.execute_script(
            "return new Date(1000 * arguments[0]).toLocaleDateString()", old_s
        )
        assert day not in texts[0]
        assert day in texts[1]

        def spaces() -> set[str]:
            found = "return [...document.querySelectorAll('#events a')].map((a) => a.textContent)"
            return set(desktop.execute_script(found))

        assert spaces() == {"kitchen", "attic"}
        click_card(desktop, "kitchen")
        eventually(lambda: spaces() == {"kitchen"})
        served.burn("attic")  # what comes meanwhile is not listed there
        served.ask("POST", "/spaces/kitchen/acknowledge")
        shown(desktop, "#events", "acknowledged")
        assert spaces() == {"kitchen"}
        shown(desktop, ".back").click()
        eventually(lambda: spaces() == {"kitchen", "attic"})
        assert len(find(desktop, "#events tr")) == 4
    finally:
        served.close()


def test_a_sensor_that_flaps_is_one_line_and_hides_no_alarm(desktop: Any) -> None:
    """It was two lines every few minutes: yesterday's alarm was pushed off the page."""
    served = Served(SMOKE)
    try:
        served.burn("kitchen")
        served.ask("POST", "/spaces/kitchen/acknowledge")
        begun_s = time.time() - 3600.0

        def flap(number: int, sensor: str) -> list[dict]:
            about = {"space": "hall", "sensor": sensor, "channel": "all", "reason": "silent"}
            return [
                {"event": kind, "time_s": begun_s + number, "time": "2026", **about}
                for kind in ("fault", "restored")
            ]

        for number in range(150):
            served.service.store.commit([], flap(number, "porch"))
        served.service.store.commit([], flap(200, "loft"))
        desktop.get(f"http://127.0.0.1:{served.port}/")
        shown(desktop, "#events", "kitchen")

        def lines() -> list[str]:
            found = "return [...document.querySelectorAll('#events tr')].map((a) => a.innerText)"
            return [" ".join(line.split()) for line in desktop.execute_script(found)]

        since = desktop.execute_script("return timeText(arguments[0])", begun_s + 51.0)
        said = [line for line in lines() if "porch" in line]
        assert len(said) == 1
        assert said[0].endswith(f"Sensor porch, all channels: silent, 99 times since {since}")
        assert sum("loft" in line for line in lines()) == 2, "once is no flapping"
        assert any("acknowledged" in line for line in lines())
        assert any("heat rule" in line for line in lines()), "the alarm"
        for word in [1, "unavailable"] * 4:  # as they come
            served.post({"space": "bath", "sensor": "A", "temperature": 21, "co": word})
        line = eventually(lambda: [one for one in lines() if "bath" in one and "4 times" in one])
        assert len(line) == 1
        assert sum("bath" in one for one in lines()) == 1
        assert any("heat rule" in one for one in lines())
        assert len(served.ask("GET", "/events?limit=1000")[1]) > 300, "all are kept"
    finally:
        served.close()


def test_the_page_says_what_a_risk_is(house: Served, desktop: Any) -> None:
    desktop.get(f"http://127.0.0.1:{house.port}/")
    shown(desktop, ".card")
    line = shown(desktop, "#about-risk", "one in five is a fire").text
    assert find(desktop, ".card .risk .hint")[0].get_attribute("title") == line
    assert find(desktop, "#list")[0].get_attribute("aria-describedby") == "about-risk"


@pytest.mark.parametrize("token", [None, "a secret token with ' in it"])
def test_the_example_of_the_empty_page_works_as_it_stands(token: str | None, desktop: Any) -> None:
    served = Served(SMOKE, token=token)
    try:
        told = f"#token={quote(token)}" if token else ""
        desktop.get(f"http://127.0.0.1:{served.port}/{told}")
        command = shown(desktop, ".empty pre", "curl").text
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
        assert json.loads(done.stdout) == {"taken": 1, "refused": []}
        shown(desktop, ".card", "kitchen")
    finally:
        served.close()


def test_a_space_is_taken_away_by_a_button(desktop: Any) -> None:
    served = Served(SMOKE)
    try:
        served.post({"space": "hall", "temperature": 21})
        served.burn("Drill / 1")
        desktop.get(f"http://127.0.0.1:{served.port}/#/space/Drill%20%2F%201")
        shown(desktop, "#forget").click()
        desktop.switch_to.alert.dismiss()
        assert served.ask("GET", "/health")[1]["spaces"] == 2
        shown(desktop, "#forget").click()
        assert "Take “Drill / 1” away" in desktop.switch_to.alert.text
        desktop.switch_to.alert.accept()
        shown(desktop, "#spaces-title", "Spaces")
        eventually(lambda: [one.text for one in find(desktop, ".card .name")] == ["hall"])
        eventually(lambda: not find(desktop, "#events tr") and not find(desktop, ".banner"))
        assert served.ask("GET", "/health")[1]["spaces"] == 1
    finally:
        served.close()


def test_a_space_that_is_not_there_is_said(desktop: Any) -> None:
    """A mistyped link showed an empty space, with a button that takes it away."""
    served = Served(SMOKE, token=TOKEN)
    try:
        served.burn("kitchen")
        served.service.trouble = "the disk is full"
        desktop.get(f"http://127.0.0.1:{served.port}/#token={quote(TOKEN)}")
        shown(desktop, ".card", "kitchen")
        desktop.execute_script("location.hash = '#/space/K%C3%BCche'")
        shown(desktop, "#detail-line", "No such space.")
        shown(desktop, "#trouble", "the disk is full")  # all else goes on
        assert find(desktop, "#detail-title")[0].text == "Küche"
        assert not find(desktop, "#forget")[0].is_displayed()
        desktop.execute_script("location.hash = '#/space/kitchen'")
        shown(desktop, "#detail-state", "Alarm")
        shown(desktop, "#forget")
        eventually(lambda: find(desktop, "#charts .chart"))
        served.ask("DELETE", "/spaces/kitchen")  # by somebody else
        shown(desktop, "#detail-line", "No such space.")
        assert not find(desktop, "#forget")[0].is_displayed()
        assert not find(desktop, "#charts .chart")
        assert find(desktop, "#detail-state")[0].text == ""
        served.burn("kitchen")  # which brings it back
        shown(desktop, "#detail-state", "Alarm")
        shown(desktop, "#forget")
    finally:
        served.close()


def test_many_spaces_are_searched(desktop: Any) -> None:
    served = Served(SMOKE)
    try:
        served.post(*[{"space": f"flat {k:04d}", "temperature": 21} for k in range(1000)])
        desktop.get(f"http://127.0.0.1:{served.port}/")
        shown(desktop, "#more", "60 of 1000")
        shown(desktop, "#like").send_keys("0777")
        eventually(lambda: len(find(desktop, ".card")) == 1)
        shown(desktop, ".card", "flat 0777")
    finally:
        served.close()

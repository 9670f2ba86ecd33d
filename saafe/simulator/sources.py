"""What drives a scenario: the registries of fires and nuisances.

A source is one function and one registry row. Rates and yields without a source named beside
them are ranges chosen wide enough to hold the literature values that the authors remember; they
are to be read as priors, not as measurements. So are the yearly rates: each row states where its
rate is from, and a row that says nothing is assumed.
"""

from saafe.simulator.emissions import Rates, Source, bursts, steady
from saafe.simulator.fires import (
    ALCOHOL,
    BATTERY,
    DECALIN,
    FOAM,
    HEPTANE,
    PAPER,
    PLASTIC,
    SMOULDERING_CABLE,
    SMOULDERING_COTTON,
    SMOULDERING_FOAM,
    SMOULDERING_WOOD,
    WOOD,
    Fire,
    ignite,
    overheating_oil,
)

HOUR = 3600.0

# Uses of the stove labelled by hand in four recorded homes (uhoo_homes), and the days that those
# reported, silences over two minutes left out; docs/scoring.md. Labels name the
# meal, not how it was cooked.
STOVE_SESSIONS, STOVE_DAYS = 136, 91.4
STOVE_SOURCE = "136 stove sessions in 91.4 days of four recorded homes (uhoo_homes)"
STOVE_RATE = "assumed; stove use as a whole was measured"

NUISANCES = (
    Source("frying", "nuisance", steady, 300, kitchen=True, cooking=True, table=Rates(
        (180, 1800), heat=(0.15, 1), pm=(0.0003, 0.05), co2=(0.01, 0.25), co=(0.002, 0.4),
        water=(0.03, 0.6), voc=(0.05, 5), droplets=(0.0005, 0.1), sound=(55, 72), flicker=0.9),
        rate_source=STOVE_RATE),
    Source("boiling", "nuisance", steady, 300, kitchen=True, cooking=True, table=Rates(
        (300, 3600), heat=(0.1, 1), pm=(0.0001, 0.004), co2=(0.005, 0.25), co=(0.002, 0.3),
        water=(0.1, 1.2), droplets=(0.0003, 0.01), sound=(50, 68)), rate_source=STOVE_RATE),
    Source("toast", "nuisance", bursts, 200, kitchen=True, cooking=True, table=Rates(
        (90, 240), heat=(0.1, 0.6), pm=(0.0003, 0.012), co=(0.01, 0.5), voc=(0.02, 2),
        co2=(0.001, 0.01), sound=(45, 60))),
    Source("burnt_toast", "nuisance", steady, 5, kitchen=True, cooking=True, table=Rates(
        (60, 480), heat=(0.1, 0.6), pm=(0.01, 0.5), co=(0.1, 5), voc=(0.2, 10),
        co2=(0.005, 0.1), sound=(45, 75), flicker=0.4)),
    Source("oven", "nuisance", steady, 150, kitchen=True, cooking=True, table=Rates(
        (1200, 7200), rise_s=(300, 1200), heat=(0.15, 0.8), pm=(0.0001, 0.004), co2=(0.005, 0.2),
        co=(0.002, 0.3), water=(0.02, 0.4), voc=(0.02, 2), sound=(45, 62))),
    Source("gas_hob", "nuisance", steady, 200, kitchen=True, cooking=True, table=Rates(
        (240, 5400), heat=(0.3, 1.8), pm=(0.0001, 0.005), co2=(0.04, 0.25), co=(0.002, 0.4),
        water=(0.05, 0.6), sound=(48, 62)), rate_source=STOVE_RATE),
    Source("broiling", "nuisance", steady, 20, kitchen=True, cooking=True, table=Rates(
        (420, 1800), rise_s=(120, 900), heat=(0.2, 1.2), pm=(0.001, 0.1), co=(0.03, 2),
        co2=(0.01, 0.25), water=(0.05, 0.5), voc=(0.2, 10), droplets=(0.001, 0.05), sound=(55, 72),
        flicker=0.8)),
    Source("shower", "nuisance", steady, 500, table=Rates(
        (180, 1800), rise_s=(20, 200), fall_s=(30, 400), heat=(0.05, 0.6), water=(0.2, 2.2),
        droplets=(0.001, 0.15), voc=(0.01, 0.5), sound=(60, 76))),
    Source("kettle", "nuisance", bursts, 800, kitchen=True, table=Rates(
        (60, 300), fall_s=(10, 60), heat=(0.02, 0.2), water=(0.1, 1.2), droplets=(0.001, 0.1),
        sound=(55, 72))),
    Source("humidifier", "nuisance", steady, 100, table=Rates(
        (1800, 6 * HOUR), water=(0.02, 0.15), droplets=(0.0005, 0.02), pm=(0.0001, 0.002),
        sound=(35, 50))),
    Source("candle", "nuisance", steady, 80, table=Rates(
        (600, 4 * HOUR), heat=(0.03, 1), pm=(5e-5, 0.003), co2=(0.002, 0.08),
        co=(0.001, 0.2), water=(0.002, 0.04))),
    Source("incense", "nuisance", steady, 20, table=Rates(
        (600, 5400), heat=(0.003, 0.05), pm=(0.0005, 0.01), co=(0.01, 1.5), co2=(0.001, 0.006),
        voc=(0.01, 0.5))),
    Source("cigarette", "nuisance", bursts, 100, table=Rates(
        (200, 700), heat=(0.003, 0.03), pm=(0.002, 0.02), co=(0.03, 0.3), co2=(0.001, 0.004),
        voc=(0.02, 1))),
    Source("aerosol", "nuisance", bursts, 300, table=Rates(
        (10, 60), rise_s=(1, 9), fall_s=(1, 10), pm=(0.003, 0.15), voc=(5, 200),
        droplets=(0.01, 1), sound=(65, 80))),
    Source("vacuuming", "nuisance", steady, 60, table=Rates(
        (180, 3000), heat=(0.3, 1), pm=(0.0002, 0.005), sound=(70, 88))),
    Source("building_dust", "nuisance", steady, 3, table=Rates(
        (120, 3 * HOUR), pm=(0.0005, 0.04), sound=(65, 100), flicker=0.8)),
    Source("hair_dryer", "nuisance", steady, 150, table=Rates(
        (90, 1200), heat=(0.2, 1.2), pm=(0.0001, 0.005), voc=(0.02, 3), sound=(74, 88))),
    Source("fireplace", "nuisance", bursts, 30, table=Rates(
        (60, 2400), heat=(0.1, 1.2), pm=(0.0005, 0.02), co=(0.01, 1), co2=(0.02, 0.8),
        water=(0.01, 0.4), voc=(0.05, 5), sound=(45, 62))),
    Source("heater", "nuisance", steady, 150, table=Rates(
        (600, 4 * HOUR), rise_s=(20, 900), heat=(0.3, 2), pm=(0.0001, 0.004), voc=(0.01, 0.5),
        sound=(38, 60))),
    Source("unvented_heater", "nuisance", steady, 20, table=Rates(
        (1200, 6 * HOUR), heat=(0.4, 2), pm=(0.0002, 0.004), co=(0.01, 0.4), co2=(0.06, 0.6),
        water=(0.03, 0.5), sound=(38, 55))),
    Source("sun", "nuisance", steady, 200, table=Rates(
        (600, 3 * HOUR), rise_s=(120, 1800), fall_s=(120, 1800), radiant=(0.3, 8),
        flicker=0.2)),
    Source("open_window", "nuisance", steady, 300, table=Rates(
        (180, 2 * HOUR), rise_s=(5, 30), fall_s=(5, 30), vent=(0.01, 0.3), sound=(45, 68),
        flicker=0.4)),
    Source("outdoor_smoke", "nuisance", steady, 6, table=Rates(
        (1800, 8 * HOUR), rise_s=(300, 3600), fall_s=(300, 3600), outdoor_pm=(30, 500),
        vent=(0.002, 0.2), flicker=0.3)),
    Source("crowd", "nuisance", steady, 6, table=Rates(
        (1800, 6 * HOUR), rise_s=(300, 3600), fall_s=(300, 3600), heat=(0.2, 2),
        co2=(0.03, 0.45), water=(0.03, 0.6), pm=(0.0001, 0.003), co=(0.001, 0.2),
        voc=(0.05, 3), sound=(68, 95))),
    Source("music", "nuisance", steady, 60, table=Rates(
        (600, 5 * HOUR), sound=(75, 105))),
    Source("plateau", "nuisance", steady, 30, table=Rates(
        (2400, 8 * HOUR), rise_s=(60, 5400), fall_s=(300, 5400), heat=(0.03, 0.6),
        pm=(0.0001, 0.004), co2=(0.01, 0.4), co=(0.001, 1.0), water=(0.01, 0.2), voc=(0.01, 2),
        sound=(40, 75), flicker=0.4)),
    Source("solvent", "nuisance", bursts, 60, table=Rates(
        (60, 1800), voc=(0.5, 50), pm=(0.0005, 0.01), droplets=(0.001, 0.1), sound=(40, 60))),
    Source("exhaust", "nuisance", steady, 5, table=Rates(
        (60, 1800), pm=(0.001, 0.05), co=(0.05, 3), co2=(0.03, 0.6), heat=(0.03, 1),
        voc=(0.1, 10), sound=(60, 85))),
)  # fmt: skip

FIRES = (
    Source("smouldering_foam", "fire", mode="smouldering", emit=ignite(Fire(
        ember=SMOULDERING_FOAM)), weight=2.5),
    Source("smouldering_sofa", "fire", mode="smouldering", emit=ignite(Fire(
        fuel=FOAM, ember=SMOULDERING_FOAM, growth_s=(75, 400), flaming_chance=0.6)),
        weight=2.5),
    Source("smouldering_mattress", "fire", mode="smouldering", emit=ignite(Fire(
        fuel=FOAM, ember=SMOULDERING_COTTON, smoulder_s=(900, 7200), growth_s=(75, 400),
        flaming_chance=0.4)), weight=2.5),
    Source("smouldering_wood", "fire", mode="smouldering", emit=ignite(Fire(
        ember=SMOULDERING_WOOD, smoulder_s=(200, 2400), smoulder_g_s=(0.002, 0.15))), weight=2.0),
    Source("smouldering_cotton", "fire", mode="smouldering", emit=ignite(Fire(
        ember=SMOULDERING_COTTON, smoulder_s=(100, 1800), smoulder_g_s=(0.002, 0.15))), weight=2.0),
    Source("cable", "fire", mode="smouldering", emit=ignite(Fire(
        fuel=PLASTIC, ember=SMOULDERING_CABLE, smoulder_s=(120, 3600),
        smoulder_g_s=(0.002, 0.1), peak_kw=(10, 400), flaming_chance=0.4))),
    Source("socket", "fire", mode="smouldering", emit=ignite(Fire(
        fuel=PLASTIC, ember=SMOULDERING_CABLE, smoulder_s=(300, 7200),
        smoulder_g_s=(0.001, 0.05), peak_kw=(5, 200), flaming_chance=0.5))),
    Source("flaming_wood", "fire", mode="flaming", emit=ignite(Fire(
        fuel=WOOD, growth_s=(150, 900), peak_kw=(30, 1500)))),
    Source("flaming_foam", "fire", mode="flaming", emit=ignite(Fire(
        fuel=FOAM, growth_s=(75, 400), peak_kw=(50, 2500))), weight=1.5),
    Source("flaming_bed", "fire", mode="flaming", emit=ignite(Fire(
        fuel=FOAM, growth_s=(100, 600), peak_kw=(100, 2500)))),
    Source("bin", "fire", mode="flaming", emit=ignite(Fire(
        fuel=PAPER, growth_s=(150, 900), peak_kw=(15, 300)))),
    Source("curtain", "fire", mode="flaming", emit=ignite(Fire(
        fuel=PAPER, growth_s=(40, 150), peak_kw=(100, 1000)))),
    Source("flammable_liquid", "fire", mode="flaming", emit=ignite(Fire(
        fuel=HEPTANE, growth_s=(30, 150), peak_kw=(20, 500)))),
    Source("alcohol", "fire", mode="flaming", emit=ignite(Fire(
        fuel=ALCOHOL, growth_s=(30, 200), peak_kw=(20, 300))), weight=0.5),
    Source("battery", "fire", mode="smouldering", emit=ignite(Fire(
        fuel=BATTERY, ember=SMOULDERING_CABLE, smoulder_s=(30, 600), smoulder_g_s=(0.02, 2.0),
        growth_s=(30, 150), peak_kw=(10, 500), flaming_chance=0.8))),
    Source("decalin", "fire", mode="flaming", emit=ignite(Fire(
        fuel=DECALIN, growth_s=(60, 250), peak_kw=(10, 200))), weight=0.5),
    Source("overheating_oil", "fire", overheating_oil, mode="cooking oil", kitchen=True),
)  # fmt: skip

SOURCES = {source.name: source for source in FIRES + NUISANCES}

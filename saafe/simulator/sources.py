"""What drives a scenario: the registries of fires, nuisances and hazards.

A source is one function and one registry row. A `per_minute(median, sigma)` is a published rate:
its median and the spread of its logarithm. Where a range stands instead, it is from memory or
assumed, and wide. Sources of the published ones, by the mark in a row's comment:

    [1] table of 19 activities, Indoor Air 2023 (8857446), citing He 2004, Aquilina and Camilleri
    [2] Chen, Zhao, Zhao, Environ. Sci. Technol. 2018 52(3) 1081: 1.16 mg/min, sigma 1.07
    [3] water by activity: northernarchitecture.us, table 10.1.1; builditsolar's list of 1988
    [4] Yao 2020, Lau 2020: hard water, from 211 ug/m3 in 33.5 m3
    [5] Ferro, Kopperud, Hildemann, Environ. Sci. Technol. 2004
    [6] Zhao et al., Aerosol Sci. Technol. 2017: vaping
    [7] US CPSC 2006, generators: 519 to 610 g of CO a kWh
    [8] Guo, US EPA 2000: candles

Medians of [1] are confirmed; sigma is from its range where it gives one, else 1.1 as in [2],
because cooking is heavy-tailed. So are the yearly rates: each row states where its rate is from,
and a row that says nothing is assumed.
"""

from saafe.simulator.emissions import (
    INTO_BOILER,
    INTO_POT,
    LPG,
    ROOM_NAMES,
    WAX,
    Lognormal,
    Quantity,
    Rates,
    Source,
    bursts,
    per_minute,
    steady,
)
from saafe.simulator.fires import (
    ALCOHOL,
    BATTERY,
    BATTERY_VENT,
    DECALIN,
    FOAM,
    FURNITURE_GROWTH_S,
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
    two_items,
)

HOUR = 3600.0
KITCHEN = ("kitchen",)
INDOORS = ROOM_NAMES[:5]
LIVING = ("bedroom", "living room")
WITH_HALL = ("bedroom", "living room", "hall")
# NMC cells vent 0.4 to 1.5 moles for each of CO, LFP 2 to 10: memory. [mol/mol]
BATTERY_HYDROGEN = (0.4, 10.0)
# Flexible foam, CH1.8 O0.30 N0.05 (SFPE table, quoted in a public FDS deck). Burning furniture gave
# one HCN for 10 to 30 CO, its smoulder one for 100: memory. [mol/mol]
FOAM_CYANIDE = (0.01, 0.06)
DUST, SMOKE, SOOT = Quantity.DUST, Quantity.SMOKE, Quantity.SOOT

# Uses of the stove labelled by hand in four recorded homes (uhoo_homes), and the days that those
# reported, silences over two minutes left out; docs/scoring.md. Labels name the
# meal, not how it was cooked.
STOVE_SESSIONS, STOVE_DAYS = 136, 91.4
STOVE_SOURCE = "136 stove sessions in 91.4 days of four recorded homes (uhoo_homes)"
STOVE_RATE = "assumed; stove use as a whole was measured"

NUISANCES = (
    # heat of a hob 1 to 3 kW, of which pots keep some, and gas burners 0.5 to 3.5 kW: memory
    Source("frying", "nuisance", steady, 180, rooms=KITCHEN, cooking=True, base_m=(0.9, 1.0),
        table=Rates((300, 1200), heat=(0.3, 2), gas_kw=(0.5, 3.5), gas_share=0.4,
        pm=per_minute(1.2, 1.1), water=(0.03, 0.3), voc=(0.05, 5), droplets=(0.02, 2),
        sound=(55, 72), kept=INTO_POT, flicker=0.7), rate_source=STOVE_RATE),  # [1], tail of [2]
    Source("stir_frying", "nuisance", steady, 60, rooms=KITCHEN, cooking=True, base_m=(0.9, 1.0),
        table=Rates((300, 1200), heat=(0.5, 2.5), gas_kw=(1.0, 5.0), gas_share=0.6,
        kept=INTO_POT, pm=per_minute(2.4, 1.3), water=(0.03, 0.4), voc=(0.2, 10),
        droplets=(0.05, 5), sound=(58, 75), flicker=0.9), rate_source=STOVE_RATE),  # [2], hood
    Source("boiling", "nuisance", steady, 300, rooms=KITCHEN, cooking=True, base_m=(0.9, 1.1),
        table=Rates((600, 3600), heat=(0.3, 1.5), gas_kw=(0.5, 2.5), gas_share=0.4,
        kept=INTO_POT, pm=per_minute(0.11, 1.1), water=Lognormal(0.25, 0.3), droplets=(0.1, 10),
        sound=(50, 68)), rate_source=STOVE_RATE),  # [1] electric stove, low; [3] 600 to 1,500 g/h
    Source("toast", "nuisance", bursts, 150, rooms=KITCHEN, cooking=True, base_m=(0.9, 1.2),
        table=Rates((120, 240), heat=(0.4, 1.5), pm=per_minute(0.11, 0.8), co=(0.01, 0.5),
        voc=(0.02, 2), sound=(45, 60))),  # [1]; meters see half, as of all that is so fine
    Source("burnt_toast", "nuisance", steady, 5, rooms=KITCHEN, cooking=True, base_m=(0.9, 1.2),
        table=Rates((60, 240), heat=(0.4, 1.5), pm=per_minute(8, 0.9), co=(0.1, 5), aired=True,
        voc=(0.2, 10), sound=(45, 75), flicker=0.4)),  # memory: 2 to 40 mg/min
    Source("smoking_pan", "nuisance", steady, 8, rooms=KITCHEN, cooking=True, base_m=(0.9, 1.0),
        table=Rates((60, 300), rise_s=(20, 120), fall_s=(20, 120), heat=(0.5, 2), gas_kw=(1, 4),
        gas_share=0.4, pm=(0.1, 7), co=(0.05, 3), aired=True, voc=(0.5, 20),
        kept=INTO_POT, sound=(50, 72))),  # assumed
    Source("oven", "nuisance", steady, 150, rooms=KITCHEN, cooking=True, base_m=(0.4, 1.0),
        table=Rates((1200, 5400), rise_s=(300, 1200), heat=(0.3, 1.5), gas_kw=(0.5, 2.5),
        gas_share=0.3, pm=per_minute(0.3, 1.1), water=(0.02, 0.4), voc=(0.02, 2),
        sound=(45, 62))),  # memory
    Source("oven_door", "nuisance", bursts, 60, rooms=KITCHEN, cooking=True, base_m=(0.4, 1.2),
        table=Rates((10, 60), rise_s=(1, 10), fall_s=(10, 60), heat=(1, 6), pm=(0.02, 3),
        water=(0.2, 2), droplets=(0.5, 30), voc=(0.1, 5), sound=(45, 62))),  # assumed
    Source("self_cleaning_oven", "nuisance", steady, 0.5, rooms=KITCHEN, cooking=True,
        base_m=(0.4, 1.0), table=Rates((3600, 7200), rise_s=(900, 2400), heat=(0.8, 2.5),
        pm=per_minute(3, 1.0), co=(0.15, 1.7), voc=(0.2, 10), sound=(45, 60))),  # memory
    Source("gas_hob", "nuisance", steady, 260, rooms=KITCHEN, cooking=True, base_m=(0.9, 1.0),
        table=Rates((600, 2400), gas_kw=(0.5, 5.0), pm=per_minute(0.24, 0.9),
        water=(0.02, 0.3), kept=INTO_POT, sound=(48, 62)), rate_source=STOVE_RATE),  # [1] gas stove
    Source("broiling", "nuisance", steady, 40, rooms=KITCHEN, cooking=True, base_m=(0.4, 1.0),
        table=Rates((600, 1500), rise_s=(120, 600), heat=(0.8, 2.5), gas_kw=(1, 4),
        gas_share=0.3, pm=per_minute(1.3, 1.1), co=(0.03, 2), water=(0.05, 0.5), voc=(0.2, 10),
        droplets=(0.01, 1), sound=(55, 72), flicker=0.8)),  # [1], tail of [2]
    Source("shower", "nuisance", steady, 620, rooms=("bathroom",), base_m=(0.5, 1.8),
        table=Rates((240, 900), rise_s=(10, 60), fall_s=(10, 60), heat=(0.1, 1.0),
        water=Lognormal(0.7, 0.3), droplets=(0.05, 5), voc=(0.01, 0.5), sound=(60, 76))),  # [3]
    Source("kettle", "nuisance", bursts, 1200, rooms=KITCHEN, base_m=(0.9, 1.2), table=Rates(
        (60, 240), fall_s=(10, 60), heat=(0.1, 0.6), water=(0.1, 1.2), droplets=(0.2, 20),
        sound=(55, 72))),
    Source("humidifier", "nuisance", steady, 30, rooms=("bedroom", "living room"), table=Rates(
        (3600, 8 * HOUR), water=Lognormal(0.13, 0.5), droplets=(0.2, 20),
        pm=per_minute(0.13, 1.2), aerosol=SMOKE, sound=(35, 50))),  # [4], water [3]
    Source("candle", "nuisance", steady, 40, table=Rates(
        (1800, 4 * HOUR), gas_kw=(0.03, 0.5), gas=WAX, pm=per_minute(0.04, 1.2), aerosol=SOOT,
        voc=(0.001, 0.05))),  # [1] 0.15 to 0.91 mg/min where they soot; few do
    Source("candle_snuffing", "nuisance", steady, 40, table=Rates(
        (20, 60), rise_s=(1, 5), fall_s=(10, 60), pm=per_minute(4, 1.0), aerosol=SMOKE,
        voc=(0.01, 0.5))),  # [8] says more than hours of burning; 0.5 to 15 mg an event: memory
    Source("incense", "nuisance", steady, 20, rooms=("bedroom", "living room"), table=Rates(
        (1200, 3600), heat=(0.003, 0.02), pm=per_minute(1.0, 1.1), aerosol=SMOKE,
        co=(0.016, 0.083), co2=(0.0005, 0.002), voc=(0.01, 0.5))),  # [1]; CO 1 to 5 mg/min: memory
    Source("cigarette", "nuisance", bursts, 100, rooms=LIVING, table=Rates(
        (360, 600), heat=(0.005, 0.03), pm=per_minute(0.99, 0.4), aerosol=SMOKE,
        co=(0.07, 0.2), co2=(0.001, 0.004), voc=(0.02, 1))),  # [1]; 40 to 80 mg of CO: memory
    Source("vaping", "nuisance", bursts, 100, rooms=LIVING, base_m=(1.0, 1.6), table=Rates(
        (10, 60), rise_s=(1, 5), fall_s=(5, 20), pm=(0.001, 0.02), aerosol=SMOKE,
        droplets=(0.5, 30))),  # [6]: gone within 20 s at 0.8 m
    Source("fog_machine", "nuisance", bursts, 0.3, rooms=("living room", "garage"), table=Rates(
        (20, 120), rise_s=(1, 5), fall_s=(5, 20), pm=(5, 200), aerosol=SMOKE, droplets=(20, 500),
        aired=True, sound=(55, 75))),  # assumed
    Source("aerosol", "nuisance", bursts, 200, rooms=("bathroom", "bedroom", "kitchen", "hall"),
        base_m=(0.8, 1.8), table=Rates((5, 20), rise_s=(1, 5), fall_s=(1, 10), pm=(0.3, 30),
        aerosol=SMOKE, voc=(5, 500), droplets=(1, 100), sound=(65, 80))),  # memory: 5 to 500 mg
    Source("walking", "nuisance", steady, 300, rooms=WITH_HALL, table=Rates(
        (300, 3600), pm=per_minute(0.12, 0.85), aerosol=DUST, sound=(50, 65), flicker=0.8)),  # [5]
    Source("vacuuming", "nuisance", steady, 70, rooms=WITH_HALL, table=Rates(
        (600, 2400), heat=(0.3, 1), pm=per_minute(0.19, 0.85), aerosol=DUST,
        sound=(70, 88))),  # [5] 0.12, and 0.07 of its motor's brushes: memory
    Source("building_dust", "nuisance", steady, 3, rooms=(*WITH_HALL, "garage"), table=Rates(
        (120, 2 * HOUR), pm=(0.01, 10), aerosol=DUST, sound=(65, 100), flicker=0.8)),
    Source("welding", "nuisance", bursts, 1, rooms=("garage",), table=Rates(
        (120, 1800), heat=(0.5, 3), pm=per_minute(150, 1.0), aerosol=SOOT, co=(0.01, 1),
        sound=(70, 95))),  # memory
    Source("soldering", "nuisance", steady, 3, rooms=("bedroom", "living room", "garage"),
        table=Rates((300, 1800), heat=(0.02, 0.06), pm=per_minute(1.5, 0.9), aerosol=SMOKE,
        voc=(0.01, 0.5))),  # memory
    Source("printing_3d", "nuisance", steady, 5, rooms=("bedroom", "living room"), table=Rates(
        (3600, 8 * HOUR), heat=(0.05, 0.3), pm=per_minute(0.002, 1.9), aerosol=SMOKE,
        voc=(0.005, 0.2), sound=(45, 60))),  # memory
    Source("hair_dryer", "nuisance", steady, 150, rooms=("bathroom", "bedroom"), table=Rates(
        (120, 900), heat=(0.6, 1.8), pm=(0.0001, 0.005), voc=(0.02, 3), sound=(74, 88))),
    Source("fireplace", "nuisance", bursts, 30, rooms=("living room",), table=Rates(
        (60, 1200), heat=(0.3, 3), pm=per_minute(2, 1.4), aerosol=SMOKE, co=(0.01, 1),
        co2=(0.02, 0.8), water=(0.01, 0.4), voc=(0.05, 5), sound=(45, 62))),  # memory
    Source("fireplace_downdraught", "nuisance", steady, 1, rooms=("living room",), table=Rates(
        (60, 900), rise_s=(5, 60), heat=(0.1, 1), pm=(0.3, 20), aerosol=SMOKE, co=(0.3, 30),
        aired=True, co2=(0.02, 0.8), voc=(0.05, 5))),  # assumed
    Source("heater", "nuisance", steady, 150, rooms=LIVING, table=Rates(
        (1200, 4 * HOUR), rise_s=(20, 900), heat=(0.5, 2.5), pm=(0.0001, 0.004), aerosol=DUST,
        voc=(0.01, 0.5), thermostat=True, sound=(38, 60))),
    Source("heater_first_heat", "nuisance", steady, 1, rooms=LIVING, table=Rates(
        (600, 2700), rise_s=(60, 600), heat=(0.5, 2.5), pm=per_minute(0.8, 1.2), aerosol=SMOKE,
        co=(0.001, 0.1), voc=(0.05, 2), thermostat=True, sound=(38, 60))),  # memory
    Source("unvented_heater", "nuisance", steady, 20, rooms=LIVING, table=Rates(
        (2 * HOUR, 8 * HOUR), gas_kw=(1, 4), gas=LPG, pm=(0.0002, 0.004), aerosol=SOOT,
        thermostat=True, sound=(38, 55))),  # chemistry; CO 10 to 500 ng/J: memory
    Source("sun", "nuisance", steady, 200, table=Rates(
        (600, 3 * HOUR), rise_s=(120, 1800), fall_s=(120, 1800), radiant=(0.3, 8),
        flicker=0.2)),
    Source("open_window", "nuisance", steady, 300, rooms=INDOORS, table=Rates(
        (180, 2 * HOUR), rise_s=(5, 30), fall_s=(5, 30), vent=(0.01, 0.3), sound=(45, 68),
        flicker=0.4)),
    Source("outdoor_smoke", "nuisance", steady, 6, rooms=INDOORS, table=Rates(
        (1800, 8 * HOUR), rise_s=(300, 3600), fall_s=(300, 3600), outdoor_pm=(30, 500),
        vent=(0.002, 0.2), flicker=0.3)),
    Source("crowd", "nuisance", steady, 6, rooms=("living room", "kitchen"), table=Rates(
        (1800, 6 * HOUR), rise_s=(300, 3600), fall_s=(300, 3600), heat=(0.2, 2),
        co2=(0.03, 0.45), water=(0.03, 0.6), pm=(0.0003, 0.01), aerosol=DUST, voc=(0.05, 3),
        sound=(68, 95))),
    Source("music", "nuisance", steady, 60, rooms=LIVING, table=Rates(
        (600, 5 * HOUR), sound=(75, 105))),
    Source("other_alarm", "nuisance", bursts, 2, rooms=ROOM_NAMES, table=Rates(
        (10, 300), rise_s=(1, 2), fall_s=(1, 2), sound=(95, 110))),  # EN 14604: 85 dB(A) at 3 m
    Source("plateau", "nuisance", steady, 30, table=Rates(
        (2400, 8 * HOUR), rise_s=(60, 5400), fall_s=(300, 5400), heat=(0.03, 0.6),
        pm=(0.0001, 0.02), aerosol=SMOKE, co2=(0.01, 0.4), co=(0.001, 1.0), water=(0.01, 0.2),
        voc=(0.01, 2), sound=(40, 75), flicker=0.4)),
    Source("solvent", "nuisance", bursts, 60, rooms=INDOORS, table=Rates(
        (60, 1800), voc=(0.5, 50), pm=(0.0005, 0.01), droplets=(0.001, 0.1), sound=(40, 60))),
    Source("bleach", "nuisance", steady, 50, rooms=("bathroom", "kitchen"), table=Rates(
        (120, 1800), water=(0.01, 0.2), voc=(0.05, 5), droplets=(0.01, 1), sound=(45, 65))),
    Source("exhaust", "nuisance", steady, 5, rooms=("garage", "hall"), table=Rates(
        (30, 900), pm=(0.01, 1), aerosol=SOOT, co=(1, 150), co2=(0.3, 3), heat=(0.3, 5),
        voc=(0.1, 10), sound=(60, 85))),
)  # fmt: skip

# Dangerous without a fire: an alarm of CO is right there, and the model is asked for nothing.
HAZARDS = (
    Source("spilling_boiler", "hazard", steady, 0.02, rooms=("kitchen", "bathroom", "garage"),
        table=Rates((1800, 8 * HOUR), rise_s=(60, 900), gas_kw=(2, 20), kept=INTO_BOILER,
        co=(0.14, 14))),  # memory
    Source("generator", "hazard", steady, 0.002, rooms=("garage", "hall"), table=Rates(
        (1800, 6 * HOUR), heat=(2, 8), pm=(0.01, 1), aerosol=SOOT, co=(100, 800), co2=(0.5, 2),
        voc=(1, 50), sound=(85, 100))),  # [7] at 0.7 to 5 kW
    Source("charcoal", "hazard", steady, 0.02, rooms=LIVING, table=Rates(
        (1800, 4 * HOUR), rise_s=(300, 1200), heat=(0.5, 4), pm=(0.005, 0.5), aerosol=SMOKE,
        co=(1, 30), co2=(0.05, 0.4), voc=(0.01, 1))),  # assumed
)  # fmt: skip
OTHERS = NUISANCES + HAZARDS  # what happens beside a fire

# Where fires start and how high: a pan on the hob, a mattress at half a metre, a bin on the floor.
FIRES = (
    Source("smouldering_foam", "fire", mode="smouldering", emit=ignite(Fire(
        ember=SMOULDERING_FOAM)), weight=2.5, cyanide=FOAM_CYANIDE),
    Source("smouldering_sofa", "fire", mode="smouldering", rooms=("living room",), emit=ignite(Fire(
        fuel=FOAM, ember=SMOULDERING_FOAM, growth_s=FURNITURE_GROWTH_S, flaming_chance=0.6)),
        weight=2.5, cyanide=FOAM_CYANIDE),
    Source("smouldering_mattress", "fire", mode="smouldering", rooms=("bedroom",), emit=ignite(Fire(
        fuel=FOAM, ember=SMOULDERING_COTTON, growth_s=FURNITURE_GROWTH_S, flaming_chance=0.4)),
        weight=2.5, cyanide=(0.0, FOAM_CYANIDE[1])),  # its smoulder is cotton's
    Source("smouldering_wood", "fire", mode="smouldering", emit=ignite(Fire(
        ember=SMOULDERING_WOOD, smoulder_s=(300, 7200))), weight=2.0),
    Source("smouldering_cotton", "fire", mode="smouldering", emit=ignite(Fire(
        ember=SMOULDERING_COTTON, smoulder_s=(200, 7200))), weight=2.0),
    Source("cable", "fire", mode="smouldering", rooms=INDOORS, base_m=(0.0, 2.0), emit=ignite(Fire(
        fuel=PLASTIC, ember=SMOULDERING_CABLE, smoulder_s=(120, 3600),
        smoulder_g_s=(0.002, 0.1), peak_kw=(10, 400), flaming_chance=0.4))),
    Source("cable_in_wall", "fire", mode="smouldering", rooms=INDOORS, base_m=(0.0, 2.0),
        emit=ignite(Fire(fuel=WOOD, ember=SMOULDERING_CABLE, smoulder_s=(600, 7200),
        smoulder_g_s=(0.0005, 0.03), growth_s=(300, 1200), peak_kw=(50, 1000),
        flaming_chance=0.2))),  # most of its smoke stays in the wall: assumed
    Source("socket", "fire", mode="smouldering", rooms=INDOORS, base_m=(0.2, 1.2), emit=ignite(Fire(
        fuel=PLASTIC, ember=SMOULDERING_CABLE, smoulder_s=(300, 7200),
        smoulder_g_s=(0.001, 0.05), peak_kw=(5, 200), flaming_chance=0.5))),
    Source("toaster", "fire", mode="smouldering", rooms=("kitchen",), base_m=(0.9, 1.2),
        emit=ignite(Fire(fuel=PLASTIC, ember=SMOULDERING_WOOD, smoulder_s=(60, 600),
        smoulder_g_s=(0.01, 0.1), growth_s=(300, 1200), peak_kw=(5, 50), flaming_chance=0.8))),
    Source("tumble_dryer", "fire", mode="smouldering", rooms=("kitchen", "bathroom", "garage"),
        emit=ignite(Fire(fuel=PAPER, ember=SMOULDERING_COTTON, smoulder_s=(300, 1200),
        smoulder_g_s=(0.02, 0.5), growth_s=(150, 900), peak_kw=(50, 300), flaming_chance=0.7))),
    Source("flaming_wood", "fire", mode="flaming", emit=ignite(Fire(
        fuel=WOOD, growth_s=(150, 900), peak_kw=(30, 1500)))),
    Source("flaming_foam", "fire", mode="flaming", rooms=LIVING, emit=ignite(Fire(
        fuel=FOAM, growth_s=FURNITURE_GROWTH_S, peak_kw=(50, 2500))), weight=1.5,
        cyanide=FOAM_CYANIDE),
    Source("flaming_bed", "fire", mode="flaming", rooms=("bedroom",), base_m=(0.3, 0.6),
        emit=ignite(Fire(fuel=FOAM, growth_s=(200, 1000), peak_kw=(100, 2500))),
        cyanide=FOAM_CYANIDE),
    Source("two_items", "fire", two_items, mode="flaming", rooms=LIVING, cyanide=FOAM_CYANIDE),
    Source("bin", "fire", mode="flaming", base_m=(0.0, 0.5), emit=ignite(Fire(
        fuel=PAPER, growth_s=(150, 900), peak_kw=(4, 150)))),
    Source("curtain", "fire", mode="flaming", emit=ignite(Fire(
        fuel=PAPER, growth_s=(80, 250), peak_kw=(100, 600)))),
    Source("christmas_tree", "fire", mode="flaming", rooms=("living room",), base_m=(0.0, 0.3),
        emit=ignite(Fire(fuel=WOOD, growth_s=(25, 80), peak_kw=(1500, 5000))), weight=0.5),
    Source("flammable_liquid", "fire", mode="flaming", rooms=ROOM_NAMES, emit=ignite(Fire(
        fuel=HEPTANE, growth_s=(30, 150), peak_kw=(20, 500)))),
    Source("alcohol", "fire", mode="flaming", emit=ignite(Fire(
        fuel=ALCOHOL, growth_s=(30, 200), peak_kw=(20, 300))), weight=0.5),
    Source("battery", "fire", mode="smouldering", base_m=(0.3, 1.2), emit=ignite(Fire(
        fuel=BATTERY, ember=BATTERY_VENT, smoulder_s=(30, 600), smoulder_g_s=(0.02, 2.0),
        growth_s=(30, 150), peak_kw=(10, 500), flaming_chance=0.8)),
        hydrogen=BATTERY_HYDROGEN),
    Source("e_bike", "fire", mode="flaming", rooms=("hall", "living room", "garage"),
        base_m=(0.2, 0.8), hydrogen=BATTERY_HYDROGEN, emit=ignite(Fire(
        fuel=BATTERY, ember=BATTERY_VENT, smoulder_s=(10, 60), smoulder_g_s=(1.0, 30.0),
        growth_s=(15, 80), peak_kw=(50, 2500), flaming_chance=0.95))),
    Source("decalin", "fire", mode="flaming", emit=ignite(Fire(
        fuel=DECALIN, growth_s=(60, 250), peak_kw=(10, 200))), weight=0.5),
    Source("overheating_oil", "fire", overheating_oil, mode="cooking oil", rooms=KITCHEN,
        base_m=(0.9, 1.0)),
)  # fmt: skip

SOURCES = {source.name: source for source in FIRES + OTHERS}
GROUPS = {  # names for many
    "fire": tuple(source.name for source in FIRES),
    "nuisance": tuple(source.name for source in NUISANCES),
    "cooking": tuple(source.name for source in NUISANCES if source.cooking),
}

"""Folders of recordings as their publishers write them, small and made up."""

from pathlib import Path

import numpy as np


def write_house(folder: Path) -> None:
    """Three house fires: 20 s of calm, then a ramp; one pan; alarms recorded for the first."""
    folder.mkdir()
    header = "test,type,source,house,rows,dt_s,duration_s,maxCeilT,t_dT5,t_dT20,t_OD02,t_OD05"
    lines = [f"{header},t_OD14,good_CO,good_CO2,good_OD"]
    kinds = {
        "SDC02": ("flaming", 5.0),
        "SDC04": ("smoldering", 20.0),
        "SDC12": ("cooking oil", 5.0),
    }
    for test, (kind, seconds_per_k) in kinds.items():
        times = np.arange(1.0, 600.0, 2.0)  # the first row is not at 0
        rise = np.clip(times - 21.0, 0.0, 400.0) / seconds_per_k
        rise[times > 500.0] /= 2.0  # after the peak at 421 s
        t5, t20 = 21 + 5 * seconds_per_k, 21 + 20 * seconds_per_k
        od = np.clip(times - 41.0, 0, None) * 0.001
        t20_text = f"{t20}" if rise.max() >= 20 else ""
        lines.append(f"{test},{kind},x,h,300,2.0,600,60,{t5},{t20_text},61,91,181,A,A,A")
        rows = ["TIME,TCA_1,TCB_1,SMA_1,GASA_1,GASA_3"]
        for i, t in enumerate(times):
            co_pct = 1e-4 * max(t - 41.0, 0.0) / 10.0
            rows.append(f"{t},{25 + rise[i]:.2f},{25 + rise[i] / 4:.2f},{od[i]},{co_pct:.6f},0.05")
        (folder / f"{test}.csv").write_text("\n".join(rows) + "\n")
    (folder / "SCENARIOS_derived.csv").write_text("\n".join(lines) + "\n")
    sounds = "\n".join(f"{t},{int(t >= 60)},{int(t >= 90)}" for t in range(300))
    (folder / "Activation_Times_SDC02.csv").write_text(f"Time,Ion1A,Photo1A\n{sounds}\n")


def write_home(folder: Path) -> None:
    """Two days; the stove is on for half an hour on the second, and for it the room is hot."""
    folder.mkdir()
    rows = []
    for minute in range(2880):
        is_on = 2000 <= minute < 2030
        day, clock = divmod(minute, 1440)
        stamp = f"2018-06-{day + 4:02d} {clock // 60:02d}:{clock % 60:02d}"
        heat = 33.0 if 2010 <= minute < 2050 or 500 <= minute < 505 else 24.0
        pm = 150.0 if minute == 100 else 6.0 + minute % 5
        wave = minute % 7
        rows.append(
            f"{stamp},{heat + wave / 10:.1f},50,{pm},100,{500 + wave},0.0,990,1,1,None,{int(is_on)}"
        )
    (folder / "1.csv").write_text("\n".join(rows) + "\n")


def write_lab(folder: Path) -> None:
    """One laboratory fire; the detector beside it starts after 320 s."""
    folder.mkdir()
    rows = ["Time,Reading ID,Humidity,Temperature,MQ139,TVOC,eCO2,Detector,Status"]
    for t in range(400):
        early = "ON" if t == 18 else "OFF"  # a lone reading before any smoke, as in clothing_2
        detector = "ON" if t >= 320 else early
        status = 2 if t >= 300 else int(t >= 60)
        eco2 = 400 if t < 100 else 400 + 5 * (t - 100)
        clock = f"0:{t // 60:02d}:{t % 60:02d}"
        rows.append(f"{clock},{t},40,21.{t % 3},90,0,{eco2},{detector},{status}")
    (folder / "clothing_2.csv").write_text("\n".join(rows) + "\n")


def write_burner(folder: Path) -> None:
    """Two fires that warm a bedroom by 1 K a second from the file's time 0; the second is hot."""
    folder.mkdir()
    for number, start in enumerate((20.0, 58.0), start=1):
        rows = ["Time,Bedroom 1 Temperature 2.4 m Above Floor"]
        rows += [f"{t},{start + max(0, min(t, 60) - max(0, t - 90)):.1f}" for t in range(-60, 121)]
        (folder / f"Gas_Burner_Experiment_{number}.csv").write_text("\n".join(rows) + "\n")


def write_office(folder: Path) -> None:
    """A day in an office, too hot for five minutes at noon."""
    folder.mkdir()
    rows = ['"date","Temperature","Humidity","Light","CO2","HumidityRatio","Occupancy"']
    for minute in range(1440):
        heat = 33.0 if 720 <= minute < 725 else 22.0 + minute % 7 / 10
        clock = f"{minute // 60:02d}:{minute % 60:02d}"
        rows.append(f'"{minute}","2015-02-02 {clock}:00",{heat},30,0,{500 + minute % 7},0.005,1')
    (folder / "datatest.txt").write_text("\n".join(rows) + "\n")

"""Small data that every test may use: the same rows each time, with what the rules must catch."""

from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from exchange.sandbox.schema import Column, Kind, Role, Schema

FLEETS = {"AA": 50, "DL": 40, "HA": 4, "OO": 15, "UA": 60}  # HA is below every threshold, OO dominated by one aircraft
ORIGINS = ("EWR", "JFK", "LGA")
STATIONS = ("东四", "定陵", "万柳")


def flights() -> tuple[pd.DataFrame, Schema]:
    """About 4,000 flights for `guarded`, entity tailnum; month 4 is in the domain and never flown.

    `flight` tells an aircraft's rows apart and is no column of the schema; 20 rows have no tailnum; delays
    have nulls, one lies above its bounds, one carrier (ZZ) outside its domain.
    """
    random = np.random.default_rng(1)
    carriers = random.choice([*FLEETS], 4000, p=[0.3, 0.25, 0.05, 0.1, 0.3])
    aircraft = [f"N{random.integers(FLEETS[c]) + 1:03}{c}" for c in carriers]
    aircraft = ["N001OO" if c == "OO" and random.random() < 0.9 else a for c, a in zip(carriers, aircraft, strict=True)]
    delay = np.round(random.gamma(1.2, 20, 4000)) - 12
    delay[random.random(4000) < 0.03] = np.nan
    frame = pd.DataFrame(
        {
            "carrier": carriers,
            "origin": random.choice(ORIGINS, 4000),
            "month": random.integers(1, 4, 4000),
            "tailnum": aircraft,
            "flight": np.arange(4000),
            "dep_delay": delay,
            "arr_delay": np.round(delay + random.normal(0, 10, 4000)),
            "distance": random.integers(100, 2500, 4000),
        }
    )
    frame.loc[:19, "tailnum"] = None
    frame.loc[20, "dep_delay"] = 5000
    frame.loc[21, "carrier"] = "ZZ"
    return frame, Schema(
        (
            Column("carrier", Kind.STRING, Role.DIMENSION, tuple(FLEETS)),
            Column("origin", Kind.STRING, Role.DIMENSION, ORIGINS),
            Column("month", Kind.INTEGER, Role.DIMENSION, (1, 2, 3, 4)),
            Column("tailnum", Kind.STRING, Role.ENTITY),
            Column("dep_delay", Kind.INTEGER, Role.MEASURE, low=-60, high=1440),
            Column("arr_delay", Kind.INTEGER, Role.MEASURE, low=-120, high=1440),
            Column("distance", Kind.INTEGER, Role.MEASURE, low=0, high=5000),
        ),
        row_key=("flight",),
    )


def air() -> tuple[pd.DataFrame, Schema]:
    """Air quality for `open`: 3 stations, 60 days, 4 readings a day, with nulls; domains are collected."""
    random = np.random.default_rng(2)
    days = [(date(2026, 1, 1) + timedelta(days=n)).isoformat() for n in range(60)]
    rows = [
        (station, day, round(float(random.gamma(2, 30)), 1)) for station in STATIONS for day in days for _ in range(4)
    ]
    frame = pd.DataFrame(rows, columns=["station", "day", "pm25"])
    frame.loc[random.random(len(frame)) < 0.05, "pm25"] = np.nan
    return frame, Schema(
        (
            Column("station", Kind.STRING, Role.DIMENSION),
            Column("day", Kind.DATE, Role.DIMENSION),
            Column("pm25", Kind.DECIMAL, Role.MEASURE, low=0, high=10_000, scale=1),
        )
    )


def carriers() -> tuple[pd.DataFrame, Schema]:
    """The carriers of `flights`, but one, for `open`: one row each, so that it can be joined by `code`."""
    rows = [("AA", "legacy", 50), ("DL", "legacy", 40), ("HA", "island", 4), ("UA", "legacy", 60), ("XX", "island", 9)]
    return pd.DataFrame(rows, columns=["code", "kind", "planes"]), Schema(
        (
            Column("code", Kind.STRING, Role.DIMENSION),
            Column("kind", Kind.STRING, Role.DIMENSION),
            Column("planes", Kind.INTEGER, Role.MEASURE, low=0, high=100),
        )
    )


def fleet() -> tuple[pd.DataFrame, Schema]:
    """The aircraft of `flights`, but those of one carrier, and some that never flew: one row each."""
    tails = [
        f"N{n + 1:03}{carrier}" for carrier, number in FLEETS.items() if carrier != "AA" for n in range(number + 5)
    ]
    makers = ["Airbus" if n % 3 else "Boeing" for n in range(len(tails))]
    frame = pd.DataFrame({"tailnum": tails, "maker": makers, "seats": [50 + 7 * n % 300 for n in range(len(tails))]})
    return frame, Schema(
        (
            Column("tailnum", Kind.STRING, Role.ENTITY),
            Column("maker", Kind.STRING, Role.DIMENSION, ("Airbus", "Boeing", "Comac"), required=True),
            Column("seats", Kind.INTEGER, Role.MEASURE, low=0, high=500),
        )
    )


def write(frame: pd.DataFrame, path: Path) -> Path:
    """The frame as CSV or Parquet, by the suffix of `path`."""
    if path.suffix == ".csv":
        frame.to_csv(path, index=False)
    else:
        frame.to_parquet(path, index=False)
    return path

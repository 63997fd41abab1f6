"""A table of houses that grows by the day: what is sold, and what is offered today and has no price yet.

Run it by: python houses.py --day 0
Writes houses.csv, the sales of all days until then, and today.csv, the houses that are offered on that day. The rows of
a day are drawn from a seed of their own, so they are the same in the table of every later day.
"""

import argparse
import csv
import datetime
from pathlib import Path

import numpy as np

TOWNS = {"Ghent": 320, "Bruges": 290, "Antwerp": 340, "Ostend": 240, "Mons": 180}
FIRST_DAY = datetime.date(2026, 1, 1)
# Sold before the first day, and a day.
ROWS_BEFORE, ROWS_A_DAY, OFFERED = 3000, 200, 10
COLUMNS = ("id", "sold", "town", "rooms", "area", "garden", "built", "price")


def rows_of(day: int, count: int, first: int) -> list[dict[str, object]]:
    """Houses of a day, numbered from `first`; prices in thousands, with a noise of 8 %."""
    draw = np.random.default_rng([7, day])
    town = draw.choice(list(TOWNS), count)
    area = draw.gamma(9, 14, count).round(1)
    rooms = np.clip((area / 28 + draw.normal(0, 0.8, count)).round(), 1, 9).astype(int)
    garden = np.where(draw.random(count) < 0.3, 0, draw.gamma(2, 90, count)).round()
    built = draw.integers(1890, 2026, count)
    value = np.array([TOWNS[name] for name in town]) * (area / 120) ** 0.8 + 0.12 * garden + 0.4 * (built - 1950)
    price = (np.maximum(value, 40) * np.exp(draw.normal(0, 0.08, count))).round(1)
    known = draw.random(count) < 0.95
    return [
        {
            "id": f"H{first + i:06d}", "sold": FIRST_DAY + datetime.timedelta(day), "town": town[i], "rooms": rooms[i],
            "area": area[i], "garden": garden[i] if known[i] else "", "built": built[i], "price": price[i],
        }
        for i in range(count)
    ]  # fmt: skip


def write(path: str, rows: list[dict[str, object]], columns: tuple[str, ...]) -> None:
    with Path(path).open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, columns, extrasaction="ignore")
        table.writeheader()
        table.writerows(rows)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--day", type=int, default=0, help="days since the table began")
    last = parser.parse_args().day
    counts = [ROWS_BEFORE] + [ROWS_A_DAY] * last
    write("houses.csv", [row for day, n in enumerate(counts) for row in rows_of(day, n, sum(counts[:day]))], COLUMNS)
    write("today.csv", rows_of(-last - 1 + 10**6, OFFERED, 900_000 + last * OFFERED), COLUMNS[:1] + COLUMNS[2:-1])

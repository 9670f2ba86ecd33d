"""How much each level of the exam simulates."""

import math
from dataclasses import dataclass

from saafe.simulator import emissions

FIRES_OF_A_KIND = 45  # that count, so that all kinds make more than 1,000
NUISANCE_EVENTS, COOKING_EVENTS = 30, 90  # events of each kind, at least
FREQUENT_EVENTS = 7.0  # times the root of its yearly rate; chosen: an alarm weighs 5 a year at most


@dataclass(frozen=True)
class Amounts:
    """How much a level simulates: of each kind, but for normal scenarios."""

    fires: int  # whose limit is reached
    fire_moments: int  # single windows
    nuisances: int
    cookings: int
    nuisance_moments: int
    normal_moments: int
    batch: int  # streams simulated at once
    frequent: float = 0.0  # nuisances are at least so many times the root of their yearly rate

    def events_of(self, source: emissions.Source) -> int:
        """How many events of a kind of nuisance.

        Were all kinds to alarm equally often in a year, numbers as the roots of their rates would
        give the year's false alarms with the least variance for the work (J. Neyman, "On the two
        different aspects of the representative method," J. Royal Statistical Society 97, 1934).
        """
        least = self.cookings if source.cooking else self.nuisances
        return max(least, math.ceil(self.frequent * math.sqrt(source.per_year)))


QUICK = Amounts(12, 23, 0, 0, 12, 520, 48)
FULL = Amounts(
    FIRES_OF_A_KIND, 60, NUISANCE_EVENTS, COOKING_EVENTS, 32, 1400, 128, frequent=FREQUENT_EVENTS
)

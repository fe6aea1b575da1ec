"""What befalls phones and their owners beside bugs.py: power cuts, erased files, sign-outs, refused groups, and records
that are contested over a restore.

Drawn from a stream of its own, so that the worlds of before stay what they were in everything else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulator.bugs import Bugs
    from tests.simulator.nemesis import Nemesis
    from tests.simulator.oracles import Oracles
    from tests.simulator.world import World

OFF = 0.5


@dataclass(frozen=True, slots=True)
class MishapWeather:
    """How often each happens, a phone and hour (`contested`: an hour); 0 for never."""

    power_cut: float = 0.0
    erase: float = 0.0
    sign_out: float = 0.0
    refused_group: float = 0.0
    contested: float = 0.0


def draw_mishaps(draws: Random) -> MishapWeather:
    """The mishaps of a seed; each is switched off with probability one half."""

    def maybe(low: float, high: float) -> float:
        on, value = draws.random() >= OFF, math.exp(draws.uniform(math.log(low), math.log(high)))
        return value if on else 0.0

    return MishapWeather(
        power_cut=maybe(0.1, 10),
        erase=maybe(0.02, 0.5),
        sign_out=maybe(0.1, 3),
        refused_group=maybe(0.1, 5),
        contested=maybe(0.1, 3),
    )


def start_mishaps(world: World, nemesis: Nemesis, bugs: Bugs, oracles: Oracles) -> None:
    """Let them strike. To be called once everything is switched on."""
    # They know the world, and the world's plan knows this module.
    from tests.simulator.contested import Contested
    from tests.simulator.owners import Owners
    from tests.simulator.power import Power

    weather, phones = world.plan.mishaps, len(world.phones)
    owners = Owners(world, bugs, oracles)
    kinds = [
        ("erased phone", weather.erase, owners.erase),
        ("sign-out", weather.sign_out, owners.sign_out),
        ("refused group", weather.refused_group, owners.refused_group),
    ]
    if weather.power_cut > 0:
        kinds.append(("power cut", weather.power_cut, Power(world, oracles).cut))
    for name, an_hour, strike in kinds:
        if an_hour > 0:
            nemesis.every(name, an_hour * phones, strike)
    if weather.contested > 0:
        nemesis.every("contested record", weather.contested, Contested(world, nemesis, owners.erase_one).strike)

"""The arithmetic of waves, against exact fractions."""

from fractions import Fraction
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyfactor_provider.cli.waves import allowed, open_wave, waves


@pytest.mark.parametrize(
    ("members", "canaries", "sizes", "ends"),
    [
        (100, 0, ["5", "10%", "100%"], [5, 15, 100]),
        (100, 3, ["5", "25%"], [3, 8, 33, 58, 83, 100]),
        (10, 2, [], [2, 10]),
        (3, 0, ["10%"], [1, 2, 3]),
        (3, 3, ["1"], [3]),
        (7, 0, ["0%"], [1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_waves_end_where_their_sizes_say(members: int, canaries: int, sizes: list[str], ends: list[int]) -> None:
    assert [wave.ends for wave in waves(members, canaries, sizes)] == ends


@given(st.integers(1, 5000), st.integers(1, 100))
def test_a_percentage_is_rounded_up_exactly(members: int, percent: int) -> None:
    assert waves(members, 0, [f"{percent}%"])[0].ends == max(1, ceil(Fraction(members * percent, 100)))


@given(st.integers(0, 5000), st.integers(0, 100))
def test_a_budget_is_rounded_down_exactly(started: int, percent: int) -> None:
    assert allowed(f"{percent}%", started) == Fraction(started * percent, 100).__floor__()


@pytest.mark.parametrize(("finished", "place"), [(0, 0), (4, 0), (5, 1), (14, 1), (15, 2), (100, None)])
def test_the_open_wave_is_the_first_that_is_not_finished(finished: int, place: int | None) -> None:
    assert open_wave(waves(100, 0, ["5", "10%", "100%"]), finished) == place


@pytest.mark.parametrize("size", ["", "-1", "5.5%", "ten", "5 %", "%"])
def test_what_is_no_size_is_refused(size: str) -> None:
    with pytest.raises(ValueError, match="neither a number nor a percentage"):
        waves(10, 0, [size])

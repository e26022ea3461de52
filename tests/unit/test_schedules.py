"""Schedules: where they start, what they never exceed, and where they end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taming.errors import ConfigError
from taming.training.schedules import AdversarialSchedule, GumbelTemperature, learning_rate

counts = st.integers(0, 300)


@given(warmup_steps=counts, rest=st.integers(1, 300), peak=st.floats(1e-6, 1), final_share=st.floats(0, 1))
def test_a_cosine_learning_rate_rises_to_its_peak_and_falls_towards_its_end(warmup_steps, rest, peak, final_share):
    num_steps, final = warmup_steps + rest, peak * final_share
    settings = {"peak": peak, "final": final, "warmup_steps": warmup_steps}
    rates = [learning_rate(step, num_steps, **settings) for step in range(num_steps + 1)]
    rising, falling = rates[:warmup_steps], rates[warmup_steps:]
    assert rising == sorted(rising) and all(rate > 0 for rate in rising)
    assert all(later <= rate * (1 + 1e-12) for rate, later in zip(falling, falling[1:], strict=False))
    assert falling[0] == pytest.approx(peak) and falling[-1] == pytest.approx(final)


def test_a_constant_learning_rate_without_a_warm_up_is_the_references():
    assert {learning_rate(step, 100, peak=0.5, kind="constant") for step in range(100)} == {0.5}


def test_a_warm_up_as_long_as_the_run_ends_at_the_peak():
    assert learning_rate(9, 10, peak=1.0, warmup_steps=10) == 1.0
    assert learning_rate(10, 10, peak=1.0, warmup_steps=10) == 1.0


@given(start=counts, ramp=counts)
def test_the_discriminators_weight_grows_from_nothing_at_start_to_all_after_the_ramp(start, ramp):
    weight = AdversarialSchedule(start, ramp).weight
    shares = [weight(step) for step in range(start + ramp + 2)]
    assert shares[:start] == [0.0] * start
    assert 0 < shares[start] <= 1 and shares == sorted(shares)
    assert shares[start + ramp] == shares[start + ramp + 1] == 1.0
    steps = [later - share for share, later in zip(shares[start:-2], shares[start + 1 : -1], strict=True)]
    assert steps == pytest.approx([1 / (ramp + 1)] * ramp)


@given(start=counts, ahead=counts)
def test_the_discriminator_learns_from_its_own_step_or_as_the_reference_from_the_start(start, ahead):
    first = max(0, start - ahead)
    early, reference = AdversarialSchedule(start, 0, first), AdversarialSchedule(start)
    for step in range(start + 2):
        assert early.trains_discriminator(step) == (step >= first)
        assert reference.trains_discriminator(step) == (step >= start) == (reference.weight(step) > 0)


def test_a_discriminator_that_learns_after_it_is_listened_to_is_refused():
    with pytest.raises(ConfigError, match=r"discriminator_from 11 is after start 10"):
        AdversarialSchedule(10, discriminator_from=11)


@given(
    start=st.floats(0.01, 2), peak=st.floats(0.01, 2), final=st.floats(0.01, 2), warmup_steps=counts, rest=st.just(50)
)
def test_a_gumbel_temperature_goes_from_start_over_peak_to_final_and_stays(start, peak, final, warmup_steps, rest):
    schedule = GumbelTemperature(start, peak, final, warmup_steps, warmup_steps + rest)
    temperatures = [schedule.at(step) for step in range(warmup_steps + rest + 3)]
    assert temperatures[0] == pytest.approx(start if warmup_steps else peak)
    assert temperatures[warmup_steps] == pytest.approx(peak)
    assert temperatures[-3:] == pytest.approx([final] * 3)
    low, high = min(start, peak, final), max(start, peak, final)
    assert all(low - 1e-9 <= temperature <= high + 1e-9 for temperature in temperatures)


@pytest.mark.parametrize("wrong", [{"final": 0.0}, {"start": 0.0}, {"warmup_steps": 100, "decay_steps": 100}])
def test_a_gumbel_schedule_that_would_divide_by_zero_is_refused(wrong):
    with pytest.raises(ConfigError, match="Gumbel temperature is more than 0|decay_steps 100 is not after"):
        GumbelTemperature(**wrong)

"""The settings by which tokens are sampled."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral, Real

from ..errors import ConfigError
from ..text import shorten

MAX_SETTING = 1e9  # of a temperature, a number of tokens, a scale: what is more overflows somewhere


@dataclass(frozen=True)
class SamplingOptions:
    """How tokens are sampled; every filter is off by default."""

    temperature: float = 1.0  # 0 takes the likeliest token
    top_k: int = 0  # keep the k likeliest tokens; 0 = off
    top_p: float = 1.0  # keep the likeliest tokens that together reach this probability; 1 = off
    min_p: float = 0.0  # keep tokens at least this share as likely as the likeliest; 0 = off
    guidance_scale: float = 1.0  # push away from the null condition; 1 = off

    def __post_init__(self) -> None:
        limits = {"temperature": MAX_SETTING, "top_k": MAX_SETTING, "top_p": 1.0, "min_p": 1.0}
        for name, limit in {**limits, "guidance_scale": MAX_SETTING}.items():
            value = getattr(self, name)
            is_number = issubclass(type(value), Integral if name == "top_k" else Real)
            if not (is_number and 0 <= value <= limit):  # NaN is not
                number = "a whole number" if name == "top_k" else "a number"
                raise ConfigError(f"{name} is {shorten(value)}; it must be {number} from 0 to {limit:g}.")

    def __str__(self) -> str:
        names = ("temperature", "top_k", "top_p", *(("min_p",) if self.min_p else ()), "guidance_scale")
        return ", ".join(f"{name} {getattr(self, name):g}" for name in names)


PLAIN = SamplingOptions()  # the model's own distribution

"""Attributes of landscapes: the words and colors that can be seen in them, and how many of those are recognized."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from benchmarks.landscapes import Facts
from benchmarks.report import print_table
from taming.data.scenes.composition import COLORS, PLACES, SEASONS, TIMES, WEATHERS

MIN_SCENES = 50  # that show a word, for it to be learned
MIN_SHOWN = 10  # scenes that show an attribute, for its accuracy to be a figure
KNOWN_PERCENT = 90.0  # balanced accuracy of what is known well enough to judge by
NONE = -1  # no color
SKY = "sky"  # always there, so it is no word; but it has a color
KINDS = {"place": PLACES, "time": TIMES, "season": SEASONS, "weather": WEATHERS}


@dataclass(frozen=True)
class Attributes:
    """What can be asked about a scene: whether it shows a word, and the color of what is colored."""

    words: tuple[str, ...]
    colored: tuple[str, ...]  # SKY and some of the words

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.words, *(f"color of {name}" for name in self.colored))

    @property
    def kinds(self) -> tuple[str, ...]:
        """Of each of `names`: place, time, season, weather, thing, sky color or color."""
        words = [next((kind for kind, of in KINDS.items() if word in of), "thing") for word in self.words]
        return (*words, *("sky color" if name == SKY else "color" for name in self.colored))


@dataclass(frozen=True)
class Answers:
    """What is true of scenes, or what is seen in images."""

    words: Tensor  # (N, words) bool
    colors: Tensor  # (N, colored) int64 into COLORS, NONE without the thing


def list_attributes(facts: Sequence[Facts]) -> Attributes:
    """What varies among scenes, as far as it occurs often enough."""
    seen = Counter(fact.name for scene in facts for fact in scene)
    colored = Counter(fact.name for scene in facts for fact in scene if fact.color)
    words = sorted(name for name, number in seen.items() if MIN_SCENES <= number < len(facts))
    names = {*words, SKY}
    return Attributes(tuple(words), tuple(sorted(name for name in colored if name in names)))


def answer(attributes: Attributes, facts: Sequence[Facts]) -> Answers:
    """What `facts` say of each scene; what they do not mention is not there."""
    words = torch.zeros(len(facts), len(attributes.words), dtype=torch.bool)
    colors = torch.full((len(facts), len(attributes.colored)), NONE)
    for row, scene in enumerate(facts):
        for fact in scene:
            if fact.name in attributes.words:
                words[row, attributes.words.index(fact.name)] = True
            if fact.color and fact.name in attributes.colored:
                colors[row, attributes.colored.index(fact.name)] = COLORS.index(fact.color)
    return Answers(words, colors)


def balanced_accuracies(attributes: Attributes, truth: Answers, seen: Answers) -> dict[str, float]:
    """How well each attribute is recognized, in percent, where scenes enough show it.

    Of a word, the mean of the shares recognized where it is and where it is not; of the color of a thing, the mean of
    the shares recognized of each color.
    """
    metrics = {}
    for column, word in enumerate(attributes.words):
        shown, right = truth.words[:, column], truth.words[:, column] == seen.words[:, column]
        if shown.sum() >= MIN_SHOWN:
            metrics[word] = 50 * (share(right[shown]) + share(right[~shown]))
    for column, name in enumerate(attributes.colored):
        colors, right = truth.colors[:, column], truth.colors[:, column] == seen.colors[:, column]
        if (colors != NONE).sum() >= MIN_SHOWN:
            shares = [share(right[colors == color]) for color in colors[colors != NONE].unique()]
            metrics[f"color of {name}"] = 100 * sum(shares) / len(shares)
    return metrics


def share(values: Tensor) -> float:
    return values.float().mean().item()


def measure_accuracies(
    attributes: Attributes, truth: Mapping[str, Answers], seen: Mapping[str, Answers]
) -> dict[str, dict[str, float]]:
    """`balanced_accuracies` of each group of real scenes and of reconstructions."""
    metrics = {name: balanced_accuracies(attributes, truth[name], answers) for name, answers in seen.items()}
    rows = [
        [attribute, *(f"{row[attribute]:.1f}" if attribute in row else "" for row in metrics.values())]
        for attribute in attributes.names
    ]
    print_table("Attributes that the classifier recognizes, balanced, percent", ["", *metrics], rows)
    return metrics


def find_facts(
    attributes: Attributes, known: Sequence[str], wanted: Sequence[Facts], seen: Answers
) -> dict[str, float]:
    """The share of what is wanted of images that is seen, in percent, in all and by kind; unknown attributes count not.

    Also of the images themselves, from which anything is wanted, the share that shows all of it.
    """
    truth = answer(attributes, wanted)
    is_known = torch.tensor([name in known for name in attributes.names])
    asked = torch.cat((truth.words, truth.colors != NONE), dim=1) & is_known  # (N, attributes)
    found = torch.cat((seen.words, seen.colors == truth.colors), dim=1)
    is_whole = (found | ~asked).all(1)[asked.any(1)]
    metrics = {"all": 100 * share(found[asked]), "whole prompts": 100 * share(is_whole)}
    for kind in dict.fromkeys(attributes.kinds):
        chosen = asked & torch.tensor([kind == other for other in attributes.kinds])
        if chosen.any():
            metrics[kind] = 100 * share(found[chosen])
    return metrics

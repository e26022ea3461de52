"""Captions in training: a word list made of them, and words that a step leaves out."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable

import torch
from torch import Tensor

from ..conditioning import Word, WordCondition, WordList
from ..conditioning.function_words import function_word, split_words, stems
from ..conditioning.words import FIRST_WORD, PAD
from ..data import Dataset
from ..errors import ConfigError

MIN_COUNT = 2  # times that a word has to occur
MAX_WORDS = 2000  # of a list; the most frequent ones
ADVICE = "The caption of 7.jpg is the text in 7.txt beside it."

log = logging.getLogger(__name__)


def collect_captions(dataset: Dataset) -> list[str]:
    """The captions of the images that have one; the log says how many have none and get the null prompt.

    Raises: ConfigError if none has one.
    """
    captions = [caption for number in range(len(dataset)) if (caption := dataset[number].caption)]
    missing = len(dataset) - len(captions)
    if not captions:
        raise ConfigError(f"condition.kind is words, and none of the {missing} images has a caption. {ADVICE}")
    if missing:
        log.warning("%d of %d images have no caption and get the null prompt. %s", missing, len(dataset), ADVICE)
    return captions


def make_word_list(captions: Iterable[str]) -> WordList:
    """The words that occur in `captions` at least twice, the most frequent first, without function words.

    A plural, or a Korean word with a particle, counts as the word that it is made of, if that occurs too.

    Raises: ConfigError if there is no such word.
    """
    words = (word for caption in captions for word in split_words(caption))
    counts = Counter(word for word in words if function_word(word) is None)
    for word in sorted(counts, key=len, reverse=True):
        shorter = next((stem for stem in stems(word) if stem != word and stem in counts), None)
        if shorter is not None:
            counts[shorter] += counts.pop(word)
    frequent = [word for word, count in counts.items() if count >= MIN_COUNT]
    if not frequent:
        raise ConfigError(f"condition.kind is words, and no word occurs twice in the captions. {ADVICE}")
    frequent.sort(key=lambda word: (-counts[word], word))
    return WordList(tuple(map(Word, frequent[:MAX_WORDS])), is_sorted=False)


def drop_words(
    prefix: Tensor, condition: WordCondition, vocab_size: int, rate: float, generator: torch.Generator
) -> Tensor:
    """Leave words of prompts `prefix`, (B, max_words), out at random, so that the model learns to read short ones.

    Each prompt has a rate of its own, from 0 to twice `rate`. A noun takes its modifiers along; modifiers may also go
    alone. A prompt that loses all of its words becomes the null prompt.
    """
    numbers = prefix - vocab_size
    is_word = numbers >= FIRST_WORD
    is_modifier = is_word & torch.isin(numbers, torch.tensor(sorted(condition.word_list.modifiers)))
    units = (is_word & ~is_modifier).long().cumsum(1).roll(1, dims=1)  # the nouns before each place
    units[:, 0] = 0
    rates = 2 * rate * torch.rand(len(prefix), 1, generator=generator)
    drop_unit, drop_modifier = (torch.rand(prefix.shape, generator=generator) < rates for _ in range(2))
    keep = is_word & ~drop_unit.gather(1, units) & ~(is_modifier & drop_modifier)
    order = (~keep).long().argsort(dim=1, stable=True)  # those that stay move to the front
    shorter = torch.where(keep, prefix, vocab_size + PAD).gather(1, order)
    null = torch.tensor(condition.null_tokens(vocab_size))
    return torch.where(keep.any(1, keepdim=True), shorter, null)

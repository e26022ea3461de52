"""Prompts as the tokens that a transformer reads before the grid; the log says what of a prompt it does not read."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ..errors import ConditionError
from .kinds import WordCondition
from .labels import Labels, known_labels, label_number, quote_label, split_labels
from .words import NULL, PAD, ParsedPrompt, WordList

_SHOWN = 8  # words in a message

log = logging.getLogger(__name__)


def encode_prompts(config: WordCondition, vocab_size: int, prompts: Sequence[str | None]) -> Tensor:
    """The tokens of `prompts`, (B, max_words) int64, for a transformer of `vocab_size` codes.

    A prompt that is None, empty, or has no word that the transformer knows is the null prompt.
    """
    rows = []
    for prompt in prompts:
        tokens = config.word_list.parse(prompt or "", config.max_words).tokens or (NULL,)
        rows.append([*tokens, *[PAD] * (config.max_words - len(tokens))])
    return torch.tensor(rows) + vocab_size


def report_prompt(config: WordCondition, prompt: str) -> None:
    """Say in the log what of `prompt` the transformer does not read, and why."""
    parsed = config.word_list.parse(prompt, config.max_words)
    for message in _complaints(config.word_list, parsed, config.max_words):
        log.warning("%s", message)


def label_prompts(config: WordCondition, label: Labels) -> list[str]:
    """The prompts that `label` stands for: those of the classes that it names, else the label itself.

    Raises:
        ConditionError: a number that is no class.
    """
    prompts = []
    for part in split_labels(config, label):
        number = label_number(config, part)
        if number is None:
            prompts.append(str(part))
        elif 0 <= number < len(config.class_prompts):
            prompts.append(config.class_prompts[number])
        else:
            classes = known_labels(config, 0) if config.class_prompts else "It has none."
            raise ConditionError(
                f"This transformer has no class {quote_label(part)}: give it a prompt in words. {classes}"
            )
    return prompts


def _complaints(word_list: WordList, parsed: ParsedPrompt, max_words: int) -> Iterator[str]:
    if parsed.unknown:
        hints = {word: word_list.suggest(word) for word in parsed.unknown[:_SHOWN]}
        named = [f"{word} (did you mean {hint}?)" if hint else word for word, hint in hints.items()]
        yield f"Words of the prompt that the transformer does not know are ignored: {_join(named, parsed.unknown)}."
    if parsed.unwanted:
        named = _join(parsed.unwanted[:_SHOWN], parsed.unwanted)
        yield f"A prompt cannot say what is not wanted. Put it into the negative prompt: {named}."
    if parsed.left_out:
        named = _join(parsed.left_out[:_SHOWN], parsed.left_out)
        yield f"The prompt has more than the {max_words} words that the transformer reads. Left out: {named}."


def _join(shown: Sequence[str], all_of_them: Sequence[str]) -> str:
    more = len(all_of_them) - len(shown)
    return ", ".join(shown) + (f" and {more} more" if more else "")

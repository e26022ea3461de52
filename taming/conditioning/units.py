"""From the words of a prompt to units: a noun with the modifiers before it, and what is not wanted set apart."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from .function_words import FunctionWord

Unit = tuple[int, ...]  # tokens: modifiers, then the noun; or a modifier alone


class UnitReader:
    """Reads a prompt once, from its beginning to its end.

    A modifier belongs to the next noun, unless a comma or a function word comes between them ("red, sea", "a red one on
    a boat"); several may be listed ("red, white and blue flowers"). "No" belongs to the next noun too, unless the part
    of the sentence ends before it ("no people on the beach"). Unknown words end neither ("no tall trees").
    """

    def __init__(self, modifiers: Collection[int]) -> None:
        self._all_modifiers = modifiers
        self._units: list[Unit] = []
        self._unwanted: list[Unit] = []
        self._modifiers: list[int] = []  # those that wait for their noun
        self._is_apart = False  # whether a comma came after them
        self._is_negated = False  # whether the next noun is not wanted
        self._last: list[Unit] | None = None  # where the noun that was just read went

    def read_tokens(self, tokens: Sequence[int]) -> None:
        """What one form stands for."""
        for token in tokens:
            if token in self._all_modifiers:
                self._modifiers.append(token)
                self._last = None
            else:
                if self._is_apart:
                    self._close_modifiers()
                self._close((*self._modifiers, token))
                self._modifiers = []
            self._is_apart = False

    def read_unknown(self) -> None:
        self._last = None

    def read_function_word(self, kind: FunctionWord) -> None:
        last, self._last = self._last, None
        if kind in ("comma", "and", "or"):
            self._is_apart = kind == "comma"
            if not self._modifiers:
                is_going_on = self._is_negated or last is self._unwanted
                self._is_negated = kind == "or" and is_going_on  # "no trees or houses"
            return
        self._close_modifiers()
        if kind == "not after" and last is self._units:
            self._unwanted.append(self._units.pop())
        if kind != "determiner":
            self._is_negated = kind == "not"

    def finish(self) -> tuple[list[Unit], list[Unit]]:
        """The units that are wanted and those that are not, in the order of the prompt."""
        self._close_modifiers()
        return self._units, self._unwanted

    def _close(self, unit: Unit) -> None:
        self._last = self._unwanted if self._is_negated else self._units
        self._last.append(unit)
        self._is_negated = False

    def _close_modifiers(self) -> None:
        for modifier in self._modifiers:
            self._close((modifier,))
        self._modifiers = []

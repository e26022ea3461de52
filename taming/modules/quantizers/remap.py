"""Tokens that count only the codes in use: the remapped codebooks of taming-transformers (`quantize.used`)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Remap:
    """How many codes have a token, and which token the others get."""

    num_used: int  # the length of `quantize.used`
    unknown_index: int | None  # `num_used` is the reference's "extra", one more token; None its "random"


class RemappedQuantizer(nn.Module):
    """A quantizer whose tokens may be positions in `used`, a list of codes, instead of codes.

    The list is a buffer, because the published files keep it among the weights. It is moved and cast wherever it is
    used: a host that loads weights on demand does not know it.
    """

    used: Tensor  # (R,) the code of each token; only with a remap

    def __init__(self, remap: Remap | None) -> None:
        super().__init__()
        self.remap = remap
        if remap is not None:
            self.register_buffer("used", torch.arange(remap.num_used))

    def used_codes(self, like: Tensor) -> Tensor:
        """The codes that have a token, (R,) int64, where `like` is."""
        return self.used.to(like.device, torch.int64)

    def to_tokens(self, codes: Tensor, num_codes: int, substitutes: Tensor) -> Tensor:
        """Tokens of `codes` (B, h, w); a code without one gets its token from `substitutes` of the same shape."""
        used = self.used_codes(codes)
        positions = used.new_full((num_codes,), -1).scatter_(0, used, torch.arange(len(used), device=used.device))
        tokens = positions[codes]
        return torch.where(tokens < 0, substitutes, tokens)

    def to_codes(self, tokens: Tensor) -> Tensor:
        """Codes of `tokens`, any shape. The extra token stands for many codes and is given the first, as published."""
        if self.remap is None:
            return tokens
        used = self.used_codes(tokens)
        if self.remap.unknown_index == self.remap.num_used:
            tokens = torch.where(tokens < self.remap.num_used, tokens, 0)
        return used[tokens]

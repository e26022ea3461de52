"""Next-token prediction over a grid, and what training hides from the transformer to make it robust and guidable."""

from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor


class NextToken(Protocol):
    """What predicts: a `Transformer`, or anything called like one."""

    def __call__(self, indices: Tensor, context: Tensor | None = None) -> Tensor:
        """Logits of the token after each of `indices`, (B, L) -> (B, L, V); `context` (B, S, C) is attended to."""
        ...


def next_token_loss(
    transformer: NextToken,
    prefix: Tensor,
    tokens: Tensor,
    *,
    read: Tensor | None = None,
    context: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Cross-entropy of `tokens` (B, L) after the condition's `prefix` (B, S), in nats per token (Esser et al., eq. 9).

    Only the tokens are predicted, never the prefix, which has at least one.

    Args:
        read: (B, L) what the transformer reads in place of `tokens`, see `corrupt_tokens`; the same by default.
        context: (B, S', C) vectors that a transformer with cross-attention attends to.
    """
    logits = next_token_logits(transformer, prefix, tokens if read is None else read, context)
    return token_loss(logits, tokens, label_smoothing)


def next_token_logits(transformer: NextToken, prefix: Tensor, read: Tensor, context: Tensor | None = None) -> Tensor:
    """Logits (B, L, V) of the tokens at the places of `read` (B, L), from the `prefix` (B, S) and those before each."""
    sequence = torch.cat([prefix, read], dim=1)  # (B, S + L)
    return transformer(sequence[:, :-1], context=context)[:, prefix.shape[1] - 1 :]


def token_loss(logits: Tensor, tokens: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of `tokens` (B, L) under `logits` (B, L, V), in float32.

    `label_smoothing` in [0, 1) moves so much of each target's probability to all tokens alike; it blurs what is drawn.
    """
    return F.cross_entropy(logits.flatten(0, 1).float(), tokens.flatten(), label_smoothing=label_smoothing)


def corrupt_tokens(tokens: Tensor, pkeep: float, vocab_size: int, generator: torch.Generator) -> Tensor:
    """Each of `tokens` (B, L) with probability `pkeep`, else any of the vocabulary (upstream `Net2NetTransformer`).

    Numbers are drawn where the generator lives, in the reference's order.
    """
    if pkeep >= 1:
        return tokens
    drawn_on = generator.device
    keep = torch.full(tokens.shape, pkeep, device=drawn_on).bernoulli(generator=generator).bool()
    others = torch.randint(vocab_size, tokens.shape, generator=generator, device=drawn_on)
    return torch.where(keep.to(tokens.device), tokens, others.to(tokens.device))


def drop_condition(cond: Tensor, null: Tensor, rate: float, generator: torch.Generator) -> Tensor:
    """Each item of `cond` (B, ...) with probability `rate` as `null`, whole, so that the model can be guided.

    `cond` is a prefix of tokens or a context of vectors; `null` (...) is what stands for none: the null label, the
    encoding of an empty text (Ho and Salimans 2022, arXiv:2207.12598; 0.1 is usual).
    """
    dropped = torch.rand(len(cond), generator=generator, device=generator.device) < rate
    return torch.where(dropped.to(cond.device).view(-1, *[1] * (cond.ndim - 1)), null.to(cond), cond)

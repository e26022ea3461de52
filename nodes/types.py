"""What travels between the nodes: the socket types and the objects on them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from comfy_api.latest import io
from torch import Tensor

from ..taming.conditioning import Box, ConditionConfig
from ..taming.errors import TokensError
from ..taming.models import Precision, Transformer, TransformerConfig, VQModel, VQModelConfig
from .host import ModelPatcher

VQGANSocket = io.Custom("TAMING_VQGAN")
TransformerSocket = io.Custom("TAMING_TRANSFORMER")
TokensSocket = io.Custom("TAMING_TOKENS")
ConditionSocket = io.Custom("TAMING_CONDITION")
RecipeSocket = io.Custom("TAMING_RECIPE")  # a Recipe, whose folder and first stage may still be OPEN
LossMapSocket = io.Custom("LOSS_MAP")  # the host's, of its own training and of Plot Loss Graph

Layouts = tuple[tuple[Box, ...], ...]


@dataclass(frozen=True)
class Tokenizer:
    """Which codebook indices point into, and how large a token is."""

    name: str  # of the file, for messages
    codebook: str  # fingerprint: the same for every decoder trained on the same codes
    num_codes: int
    factor: int  # pixels per token side


@dataclass(frozen=True, eq=False)
class VQGANHandle:
    """A VQGAN whose weights the host manages."""

    patcher: ModelPatcher
    config: VQModelConfig
    tokenizer: Tokenizer

    @property
    def model(self) -> VQModel:
        """The VQGAN itself, to be used while it is placed."""
        return self.patcher.model

    def is_dynamic(self) -> bool:
        """Whether the host loads its weights piece by piece as they are used."""
        return self.patcher.is_dynamic()


@dataclass(frozen=True, eq=False)
class TransformerHandle:
    """A transformer whose weights the host manages, with the VQGANs that it needs."""

    patcher: ModelPatcher
    config: TransformerConfig
    name: str  # of the file, for messages
    first_stage: VQGANHandle | None  # of its tokens, where the file has or names it
    cond_stage: VQGANHandle | None  # of its maps, where it reads maps; it may be the first stage
    precision: Precision = "auto"  # that its weights are held in
    file: Path | None = None  # with the exact weights, where it was trained here: those held may be in 16 bits

    @property
    def model(self) -> Transformer:
        """The transformer itself, to be used while it is placed."""
        return self.patcher.model

    def is_dynamic(self) -> bool:
        """Whether the host loads its weights piece by piece as they are used."""
        return self.patcher.is_dynamic()

    def get_models(self) -> list[ModelPatcher]:
        """Every patcher in here, for the host's bookkeeping."""
        patchers = [self.patcher]
        for stage in (self.first_stage, self.cond_stage):
            if stage is not None and stage.patcher not in patchers:
                patchers.append(stage.patcher)
        return patchers


@dataclass(frozen=True, eq=False)
class MapTokens:
    """Maps as a transformer reads them, on the CPU."""

    indices: Tensor  # (B, h, w) int64
    is_scaled: bool  # encoded at a size of its own, whatever the size of the picture
    tokenizer: Tokenizer  # the VQGAN that made them


@dataclass(frozen=True, eq=False)
class ContextVectors:
    """What a text encoder made of words, on the CPU."""

    vectors: Tensor  # (B, S, D)


@dataclass(frozen=True, eq=False)
class PromptTokens:
    """Prompts as a transformer reads them, on the CPU."""

    prompt: Tensor  # (B, S) int64
    negative: Tensor  # (B, S) int64, what guidance moves away from


@dataclass(frozen=True, eq=False)
class Condition:
    """What a transformer is to be told. It holds no weights, so that it keeps none in memory."""

    # Class labels, prompts, maps, the boxes of each item, text as vectors.
    told: str | PromptTokens | MapTokens | Layouts | ContextVectors
    transformer: str  # name of the file it was written for, for messages
    config: ConditionConfig  # of that transformer: a label means the same where this is the same


@dataclass(frozen=True, eq=False)
class Tokens:
    """A batch of token grids, on the CPU."""

    indices: Tensor  # (B, h, w) int64 codebook rows; 0 where not known
    known: Tensor  # (B, h, w) bool; the sampler draws the others
    tokenizer: Tokenizer

    @classmethod
    def of(cls, indices: Tensor, tokenizer: Tokenizer) -> Tokens:
        """Tokens that are all known."""
        return cls(indices.cpu(), torch.ones_like(indices, dtype=torch.bool, device="cpu"), tokenizer)

    def check_known(self) -> None:
        """Raise TokensError while there are cells to draw."""
        unknown = int((~self.known).sum())
        if unknown:
            raise TokensError(
                f"{unknown} of {self.known.numel()} cells are still unknown. Run the tokens through Sample Tokens "
                "first."
            )

    def check_tokenizer(self, other: Tokenizer) -> None:
        """Raise TokensError unless the indices mean to `other` what they meant to the tokenizer they come from."""
        ours = self.tokenizer
        if ours.codebook != other.codebook or ours.factor != other.factor:
            raise TokensError(
                f"these are tokens of {ours.name} ({ours.num_codes} codes, {ours.factor} px), but {other.name} has "
                f"another codebook ({other.num_codes} codes, {other.factor} px). Use one VQGAN for both."
            )

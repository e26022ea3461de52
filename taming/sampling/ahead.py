"""Drawing one grid several cells at a time, by guessing: the same tokens as one by one, in fewer calls.

A call that reads a few tokens takes hardly longer than one that reads one: both read all the weights. So cells to come
are guessed, read together, and drawn, each by its own noise. Draws are right up to the first whose guess before it was
wrong, that one included; the others are the next guesses. This is Jacobi's iteration (Song et al., Accelerating
Feedforward Computation via Parallel Nonlinear Equation Solving, 2021) under fixed noise (Wiggers and Hoogeboom,
Predictive Sampling with Forecasting Autoregressive Models, 2020): noise that is added to logits draws the same code
again where they move a little, so that guesses made from wrong neighbors are often right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from ..modules.acceleration import quantizes_activations
from .canvas import Canvas
from .filters import SamplingOptions, sample_next
from .reader import WindowReader
from .seeds import CellNoise
from .waves import Read

if TYPE_CHECKING:
    from ..models.transformer import Transformer

FEW, MANY = 2, 6  # cells in a call
PAYS = 1.25  # cells right in a call on the average, from which on it reads many: they cost up to half more than one
MEMORY = 0.9  # what the average keeps of itself from call to call


def can_guess(transformer: Transformer, indices: Tensor) -> bool:
    """Whether to guess cells of `indices`, (B, h, w): of one grid, through one window, on a CPU.

    Items of a batch would be right in unequal numbers. What a GPU gains was not measured. Where layers round what they
    multiply, the float noise of calls of another length is magnified until it draws other tokens.
    """
    is_alone = len(indices) == 1 and tuple(indices.shape[1:]) == tuple(transformer.config.grid)
    return is_alone and indices.device.type == "cpu" and not quantizes_activations(transformer)


def fill_in_ahead(
    reader: WindowReader, canvas: Canvas, reads: Sequence[Read], options: SamplingOptions, noise: CellNoise
) -> None:
    """Draw the cells of `reads`, all of one window, in this order."""
    cells = [read.cell for read in reads]
    guesses = canvas.tokens.clone()  # (1, h * w), and what is drawn or known already
    done, average = 0, float(FEW)
    while done < len(reads):
        size = MANY if average > PAYS else FEW
        group, here = reads[done : done + size], cells[done : done + size]
        logits = reader.logits_ahead(group, guesses)[0]  # (R, V)
        drawn = sample_next(logits, options, noise.at(here)[0])  # (R,)
        is_right = (drawn == guesses[0, here])[:-1].tolist()
        kept = 1 + (is_right.index(False) if False in is_right else len(is_right))
        reader.keep(group, kept)
        guesses[0, here] = drawn
        average = MEMORY * average + (1 - MEMORY) * kept
        guesses[0, cells[done + len(group) : done + kept + MANY]] = drawn[-1]
        for cell in here[:kept]:
            canvas.put([cell], guesses[:, cell : cell + 1])
        done += kept

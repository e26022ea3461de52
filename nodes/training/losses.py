"""The losses of a run: of every step that was taken in the graph, of every evaluation on the command line."""

from __future__ import annotations

import json
from pathlib import Path

from ...taming.training.loop import LOG_FILE
from .. import host

LOSS_FILE = "losses.csv"  # step,loss
FIGURES = ("loss", "bce", "l1")  # what a log calls the loss: that of a transformer, of segments, of pictures or depth
NOTHING_TO_PLOT = (
    "loss_map: {run} has no two losses that differ, so there is no curve to plot. Runs on the command line note "
    "theirs every evaluate_every steps. Leave Plot Loss Graph out, or train longer."
)


def read_losses(out: Path) -> dict[int, float]:
    """The loss of each step of the run in folder `out` that is known, in their order; what was taken again counts."""
    return dict(sorted((_evaluated(out / LOG_FILE) | _noted(out / LOSS_FILE)).items()))


def loss_map(out: Path, run: str) -> dict[str, list[float]] | host.ExecutionBlocker:
    """The host's LOSS_MAP; without two losses that differ, its plot would fail, and the node after it says why."""
    losses = list(read_losses(out).values())
    if len(set(losses)) < 2:
        return host.blocked(NOTHING_TO_PLOT.format(run=run))
    return {"loss": losses}


def _noted(file: Path) -> dict[int, float]:
    losses = {}
    for line in _lines(file):
        step, comma, loss = line.partition(",")
        if comma and loss:  # a run that was killed may have left half a line
            losses[int(step)] = float(loss)
    return losses


def _evaluated(file: Path) -> dict[int, float]:
    losses = {}
    for line in _lines(file):
        try:
            row = json.loads(line)
        except ValueError:  # half a line
            continue
        figure = next((name for name in FIGURES if name in row), None)
        if figure is not None:
            losses[row["step"] - 1] = row[figure]  # it counts the steps done
    return losses


def _lines(file: Path) -> list[str]:
    return file.read_text(encoding="ascii").splitlines() if file.is_file() else []

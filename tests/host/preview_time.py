"""A scene of inside_host.py: what the live picture takes of the time; imported when the pack is there."""

from __future__ import annotations

import time
from typing import Any

import torch
from comfy.cli_args import LatentPreviewMethod, args
from taming_pack.nodes.preview import GrowingPicture
from taming_pack.nodes.types import Tokens, TransformerHandle

STEP_SECONDS = 0.012  # of a batch of four, with guidance


def preview_time(transformer: TransformerHandle, tokens: Tokens) -> dict[str, Any]:
    """Seconds in the previews and in the rest of a run whose steps are naps, and the size of the sheet."""
    usual, args.preview_method = args.preview_method, LatentPreviewMethod.Auto
    known = torch.zeros_like(tokens.known)
    cells = known[0].numel()
    inside, start = 0.0, time.perf_counter()
    try:
        with torch.inference_mode(), GrowingPicture(transformer, tokens) as picture:
            for done in range(1, cells + 1):
                known.flatten(1)[:, done - 1] = True
                time.sleep(STEP_SECONDS)
                before = time.perf_counter()
                picture(done, cells, tokens.indices.clone(), known.clone())
                inside += time.perf_counter() - before
            sheet = picture._sheet.image()
    finally:
        args.preview_method = usual
    rest = time.perf_counter() - start - inside
    return {"inside": inside, "rest": rest, "size": sheet.size}

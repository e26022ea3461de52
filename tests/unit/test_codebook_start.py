"""Where a codebook starts: at k-means centers of the latents."""

import pytest
import torch

from recipes import VQGAN, write_recipe
from short_runs import all_pixels, make_task
from taming.training.batches import step_rng
from taming.training.kmeans import kmeans
from taming.training.recipe import read_recipe
from taming.training.tasks.vqgan import VQGANTask


def test_kmeans_finds_separate_groups_and_survives_more_centers_than_points():
    centers = torch.tensor([[0.0, 0.0], [9.0, 0.0], [0.0, 9.0]])
    points = centers.repeat(30, 1) + torch.randn(90, 2, generator=torch.Generator().manual_seed(0)) / 10
    found = kmeans(points, 12, torch.Generator().manual_seed(1))
    assert torch.cdist(centers, found).amin(1).max() < 0.3
    same = kmeans(torch.zeros(20, 2), 8, torch.Generator().manual_seed(1))
    assert same.shape == (8, 2) and same.isfinite().all()


@pytest.mark.parametrize("quantizer", ["vq", "ema", "cosine"])
def test_a_codebook_starts_among_the_latents(quantizer, tmp_path, scenes):
    recipe = read_recipe(str(write_recipe(tmp_path, "vqgan", model={**VQGAN, "quantizer": quantizer})))
    task = make_task(recipe, scenes)
    assert isinstance(task, VQGANTask)
    task.start_codebook(step_rng(0, 0))
    with torch.no_grad():
        indices = task.model.eval().encode(all_pixels(scenes)).indices
    assert len(indices.unique()) > 8

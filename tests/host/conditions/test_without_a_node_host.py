"""What a transformer knows from its file alone: its coordinates, and a configuration published for it."""

from __future__ import annotations

import numpy as np
import pytest

from condition_models import SIDE, expected
from condition_prompts import drawing, drawn
from devtools.live_server import LiveServer
from prompts import LOAD
from taming.configs import PUBLISHED, preset_names


@pytest.mark.parametrize(("height", "width"), [(SIDE, SIDE), (7, 13)])
def test_coordinates_need_no_node(probed: LiveServer, height: int, width: int):
    grid = drawn(probed.watch(drawing("coordinates.ckpt", None, height=height, width=width)))
    assert np.array_equal(grid, expected(probed, "coordinates.ckpt", height=height, width=width))


def test_a_published_configuration_describes_a_file_and_a_users_file_of_that_name_wins(probed: LiveServer):
    listed = {
        name: probed.get("/object_info")[name]["input"]["optional"]["config_name"][1]["options"]
        for name in ("TamingLoadVQGAN", "TamingLoadTransformer")
    }
    published = {
        name: [option for option in options if option.startswith("published/")] for name, options in listed.items()
    }
    assert sorted(sum(published.values(), [])) == [f"published/{name}.yaml" for name in preset_names(PUBLISHED)]
    assert "published/vqgan_imagenet_f16_1024.yaml" in published["TamingLoadVQGAN"]
    assert "published/sflckr.yaml" in published["TamingLoadTransformer"]
    assert all(
        options[0] == "auto" and options[1 : 1 + len(published[name])] == published[name]
        for name, options in listed.items()
    )
    prompt = drawing("coordinates.ckpt", None)
    prompt[LOAD]["inputs"]["config_name"] = "published/sflckr.yaml"
    assert "does not fit coordinates.ckpt" in probed.watch(prompt).error
    folder = probed.base / "models" / "taming_transformers"
    (folder / "published").mkdir()
    (folder / "published" / "sflckr.yaml").write_bytes((folder / "coordinates.yaml").read_bytes())
    assert probed.watch(prompt).ending == "execution_success"

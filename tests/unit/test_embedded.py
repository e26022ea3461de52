"""Names of embedded models: today's, and those of models that were replaced."""

import logging
from pathlib import Path

import pytest

from taming.checkpoints import embedded
from taming.checkpoints.embedded import PREFIX, REPLACED, embedded_models, replaced_models, weights_file


@pytest.fixture
def assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A version that has only the new models."""
    for name in REPLACED.values():
        (tmp_path / name).write_bytes(b"weights")
    monkeypatch.setattr(embedded, "ASSETS", tmp_path)
    return tmp_path


def test_a_name_leads_to_its_file_and_a_path_stays_a_path(tmp_path: Path):
    names = {**embedded_models("vqgan"), **embedded_models("transformer")}
    assert names and all(weights_file(name) == path for name, path in names.items())
    mine = tmp_path / "scenes_vqgan.safetensors"
    assert weights_file(mine) == mine
    assert weights_file(PREFIX + "none.safetensors") == Path(PREFIX + "none.safetensors")


@pytest.mark.parametrize(("old", "new"), REPLACED.items())
def test_the_name_of_a_replaced_model_leads_to_its_replacement_and_the_log_says_so(assets: Path, caplog, old, new):
    with caplog.at_level(logging.WARNING):
        assert weights_file(PREFIX + old) == assets / new
    assert old in caplog.text and new in caplog.text
    family = "vqgan" if old.endswith("_vqgan.safetensors") else "transformer"
    assert replaced_models(family)[PREFIX + old] == assets / new
    assert PREFIX + old not in embedded_models(family)


def test_a_model_that_is_still_there_is_not_replaced(assets: Path, caplog):
    for old in REPLACED:
        (assets / old).write_bytes(b"weights")
        assert weights_file(PREFIX + old) == assets / old
    assert not caplog.records and not replaced_models("vqgan") and not replaced_models("transformer")

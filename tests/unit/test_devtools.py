"""The fresh-machine commands where no network and no ComfyUI is needed."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from devtools.host import extract, get_host, place_pack
from devtools.steps import SetupError, run_logged, step
from devtools.workflows import nodes_of, read_prompt

OBJECT_INFO = {
    "Loader": {"input": {"required": {"name": [["a", "b"], {}]}}, "display_name": "Load It"},
    "Sampler": {
        "input": {
            "required": {"model": ["MODEL", {}], "seed": ["INT", {}], "steps": ["INT", {}]},
            "optional": {"scale": ["FLOAT", {}]},
        },
        "display_name": "Sample It",
    },
}


def write_workflow(file: Path, **changes: object) -> Path:
    loader = {"id": 1, "type": "Loader", "mode": 0, "widgets_values": ["b"], "inputs": []}
    sampler = {"id": 2, "type": "Sampler", "mode": 0, "inputs": [{"name": "model", "link": 9}]}
    note = {"id": 3, "type": "MarkdownNote", "mode": 0, "widgets_values": ["read me"]}
    sampler |= {"widgets_values": [7, "randomize", 20, 1.5], **changes}
    file.write_text(json.dumps({"nodes": [loader, sampler, note], "links": [[9, 1, 0, 2, 0, "MODEL"]]}))
    return file


def test_widget_values_find_their_names_past_the_seed_control_that_has_none(tmp_path: Path):
    prompt = read_prompt(write_workflow(tmp_path / "w.json"), OBJECT_INFO)
    assert nodes_of(prompt, "Sampler") == [{"model": ["1", 0], "seed": 7, "steps": 20, "scale": 1.5}]
    assert nodes_of(prompt, "Loader") == [{"name": "b"}]
    assert set(prompt) == {"1", "2"}


@pytest.mark.parametrize("change", [{"type": "Unheard"}, {"mode": 4}])
def test_a_node_that_is_unknown_or_off_is_named(tmp_path: Path, change: dict):
    with pytest.raises(ValueError, match="node 2"):
        read_prompt(write_workflow(tmp_path / "w.json", **change), OBJECT_INFO)


def test_a_step_runs_once_then_again_only_for_other_content(tmp_path: Path):
    runs: list[str] = []
    for content in ("v1", "v1", "v2", "v2"):
        step("thing", tmp_path / "stamps" / "thing", content, lambda content=content: runs.append(content))
    assert runs == ["v1", "v2"]


def test_a_step_that_was_interrupted_runs_again(tmp_path: Path):
    def interrupted() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        step("thing", tmp_path / "thing", "v1", interrupted)
    runs: list[int] = []
    step("thing", tmp_path / "thing", "v1", lambda: runs.append(1))
    assert runs == [1]


def test_a_command_that_fails_is_told_with_its_last_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("devtools.steps.CACHE", tmp_path)
    with pytest.raises(SetupError, match="could not get the moon.*ERROR: no rocket.*Build one."):
        run_logged(["sh", "-c", "echo ERROR: no rocket; echo bye; exit 3"], "the moon", "Build one.")


def archive(file: Path, names: list[str]) -> Path:
    with tarfile.open(file, "w:gz") as tar:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 2
            tar.addfile(member, io.BytesIO(b"ok"))
    return file


def test_only_the_vendored_tree_is_unpacked(tmp_path: Path):
    names = ["p-1/setup.py", "p-1/vendor/ComfyUI/main.py", "p-1/vendor/ComfyUI/comfy/ops.py"]
    extract(archive(tmp_path / "a.tar.gz", names), tmp_path / "tree")
    files = sorted(file.relative_to(tmp_path / "tree").as_posix() for file in tmp_path.rglob("*.py"))
    assert files == ["comfy/ops.py", "main.py"]


def test_a_member_that_climbs_out_is_refused(tmp_path: Path):
    with pytest.raises(SetupError, match="outside"):
        extract(archive(tmp_path / "a.tar.gz", ["p-1/vendor/ComfyUI/../../../evil.py"]), tmp_path / "deep" / "tree")
    assert not list(tmp_path.rglob("evil.py"))


def test_the_pack_is_copied_where_links_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pack, target = tmp_path / "pack", tmp_path / "pack" / ".comfyui" / "custom_nodes" / "pack"
    (pack / ".venv").mkdir(parents=True)
    (pack / "nodes").mkdir()
    (pack / "nodes" / "__init__.py").touch()
    target.parent.mkdir(parents=True)

    def refuse(*_: object, **__: object) -> None:
        raise OSError("a required privilege is not held by the client")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    for _ in range(2):  # the second time it replaces the copy
        place_pack(pack, target)
    assert sorted(path.relative_to(target).as_posix() for path in target.rglob("*")) == ["nodes", "nodes/__init__.py"]


def test_placing_the_pack_again_leaves_the_linked_pack_alone(tmp_path: Path):
    pack = tmp_path / "pack"
    pack.mkdir()
    (pack / "__init__.py").touch()
    for _ in range(2):
        place_pack(pack, tmp_path / "link")
    assert (pack / "__init__.py").is_file()
    assert (tmp_path / "link" / "__init__.py").is_file()


def test_a_folder_that_is_no_comfyui_is_refused(tmp_path: Path):
    with pytest.raises(SetupError, match="not a ComfyUI folder"):
        get_host(str(tmp_path))

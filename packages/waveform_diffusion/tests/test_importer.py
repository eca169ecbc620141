"""What the docs page writes from a TensorFlow checkpoint is what the importer reads."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from sepkit_waveform_diffusion.importer import import_checkpoint, network_from_reference
from sepkit_waveform_diffusion.separator import build

PAGE = Path(__file__).parents[3] / "docs/methods/cold_diffusion.md"
PLACES = {
    r"input_projection\.": "proj/",
    r"step_mlp\.(\d+)\.": r"proj_embed/\1/",
    r"layers\.(\d+)\.step_projection\.": r"blocks/\1/proj_embed/",
    r"layers\.(\d+)\.dilated_conv\.": r"blocks/\1/conv/",
    r"layers\.(\d+)\.residual_projection\.": r"blocks/\1/proj_res/",
    r"layers\.(\d+)\.skip_projection\.": r"blocks/\1/proj_skip/",
    r"output_projection\.(\d+)\.": r"proj_out/\1/",
}


def tensorflow_path(name: str) -> str:
    """A plain name as TensorFlow's object graph has it."""
    for plain, place in PLACES.items():
        name = re.sub(f"^{plain}", place, name)
    return f"model/wavenet/{name}/.ATTRIBUTES/VARIABLE_VALUE"


def test_the_lines_of_the_docs_and_the_importer_fit(
    oracle: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {tensorflow_path(name): array for name, array in oracle["weights"].items()}
    assert len(variables) == len(oracle["weights"])
    slots = {path.replace("/.ATT", "/.OPTIMIZER_SLOT/optim/m/.ATT"): np.zeros(1) for path in variables}
    variables |= slots | {"optim/iter/.ATTRIBUTES/VARIABLE_VALUE": np.int64(5)}
    settings = {name: value.item() for name, value in oracle["config"].items()}
    (tmp_path / "run.json").write_text(json.dumps({"model": {**settings, "noise_policy": ["linear"]}}))
    tensorflow = ModuleType("tensorflow")
    tensorflow.train = SimpleNamespace(  # type: ignore[attr-defined]
        list_variables=lambda prefix: [(path, array.shape) for path, array in variables.items()],
        load_variable=lambda prefix, path: variables[path],
    )
    monkeypatch.setitem(sys.modules, "tensorflow", tensorflow)
    monkeypatch.setattr(sys, "argv", ["x", "run", str(tmp_path / "run.json"), str(tmp_path / "weights.npz")])
    code = PAGE.read_text(encoding="utf-8").partition("needs TensorFlow")[2].split("```")[1].removeprefix("python\n")
    exec(compile(code, str(PAGE), "exec"), {})
    separator = build(checkpoint=import_checkpoint(tmp_path / "weights.npz", tmp_path / "out"), fused=False)
    wanted = network_from_reference(oracle["weights"], oracle["config"]).state_dict()
    for name, values in separator.networks[0].backbone.state_dict().items():
        assert np.array_equal(values.numpy(), wanted[name].numpy())

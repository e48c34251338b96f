"""A model of several functions that share weights: one network with adapters of its own for each task."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mil.converted import conversion, networks

import refcoreml

torch: Any = pytest.importorskip("torch", reason="torch has the networks")
ct: Any = pytest.importorskip("coremltools", reason="coremltools converts them")

pytestmark = pytest.mark.filterwarnings("ignore")  # of coremltools and torch, whose versions are not ours to choose

TASKS = ("summarize", "translate", "answer")
X = conversion.normal(5, 20)


def adapted(task: str) -> Any:
    """Return the common network with the adapter of a task."""
    torch.manual_seed(7)
    module = networks.Adapted()
    torch.manual_seed(TASKS.index(task) + 50)
    for part in (module.down, module.up):
        torch.nn.init.normal_(part.weight, std=0.3)
    return module.eval()


def save(folder: Path, precision: str, target: str, *, palettized: bool) -> tuple[Path, dict[str, Any]]:
    """Return a package, and by task what torch has: the network, with the weights that coremltools decompresses."""
    description, modules = ct.utils.MultiFunctionDescriptor(), {}
    for task in TASKS:
        model = ct.convert(
            torch.jit.trace(adapted(task), torch.from_numpy(X), check_trace=False),
            inputs=[ct.TensorType("x", X.shape)],
            outputs=[ct.TensorType("y", dtype=np.float32)],
            minimum_deployment_target=getattr(ct.target, target),
            compute_precision=getattr(ct.precision, precision),
            skip_model_load=True,
        )
        if palettized:
            model = conversion.VARIANTS["palettized"][0](model)
        modules[task] = conversion.with_weights(adapted(task), conversion.weights(model), precision)
        model.save(str(folder / f"{task}.mlpackage"))
        description.add_function(str(folder / f"{task}.mlpackage"), "main", task)
    description.default_function_name = TASKS[1]
    path = folder / "tasks.mlpackage"
    ct.utils.save_multifunction(description, str(path))
    return path, modules


@pytest.mark.parametrize("palettized", [False, True])
@pytest.mark.parametrize(("precision", "target"), [("FLOAT32", "iOS18"), ("FLOAT16", "iOS26")])
def test_each_function_is_its_network(precision: str, target: str, palettized: bool, tmp_path: Path) -> None:
    path, modules = save(tmp_path, precision, target, palettized=palettized)
    results = []
    for task, module in modules.items():
        model = refcoreml.load(path, function=task)
        assert set(model.functions) == set(TASKS)

        def run(module: Any = module) -> list[Any]:
            return conversion.computed(module, {"x": X})

        (wanted,), (moved,) = run(), conversion.spread(run, module, conversion.ROUNDING[precision], stored=False)
        bound = conversion.MARGIN * moved
        assert bound < conversion.LARGEST[precision] * abs(wanted).max()
        results.append(model.predict({"x": X})["y"])
        assert abs(results[-1] - wanted).max() <= bound
        if task == TASKS[1]:
            np.testing.assert_array_equal(refcoreml.load(path).predict({"x": X})["y"], results[-1])
    for first, second in ((0, 1), (0, 2), (1, 2)):
        assert abs(results[first] - results[second]).max() > 0.1


def test_functions_share_weights(tmp_path: Path) -> None:
    """Each weight of the common network is in the file once, and so are the zeros that an adapter's map adds."""
    path, _ = save(tmp_path, "FLOAT32", "iOS18", palettized=False)
    content = next(path.rglob("weight.bin")).read_bytes()
    places = [at for at in range(64, len(content), 64) if content[at : at + 4] == struct.pack("<I", 0xDEADBEEF)]
    sizes = sorted(struct.unpack_from("<Q", content, at + 8)[0] // 4 for at in places)
    assert sizes == sorted([20 * 26, 26, 26 * 9, 26, *[20 * 3, 3 * 26] * 3])

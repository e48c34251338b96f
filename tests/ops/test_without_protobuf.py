"""Operations, execution, definitions and kernels work where protobuf is not installed."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("google", "PIL", "rich"):
            raise ImportError(f"{name} is not there")

sys.meta_path.insert(0, Missing())
import pkgutil
import numpy as np
import refcoreml.definitions, refcoreml.execution, refcoreml.kernels, refcoreml.ops
from refcoreml.ops import Softmax

for room in (refcoreml.definitions, refcoreml.execution, refcoreml.kernels, refcoreml.ops):
    for module in pkgutil.iter_modules(room.__path__, room.__name__ + "."):
        __import__(module.name)
from refcoreml.execution.engine import Engine
from refcoreml.execution.limits import Budget
from refcoreml.execution.steps import Step

step = Step(0, "y", "softmax", "main[0]", Softmax(axis=0), ("x",), ("y",))
y = Engine([step], ["x"], ["y"], Budget(), "main").run({"x": np.log([1.0, 3.0])})["y"]
print(y.round(12).tolist(), any(name.startswith("google") for name in sys.modules))
"""


def test_operations_need_numpy_alone() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert ran.stdout.split("\n")[0] == "[0.25, 0.75] False", ran.stderr

"""What importing `refcoreml.testing` needs."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys

EXTRAS = ("torch", "coremltools", "hypothesis", "rich", "matplotlib")
sys.modules.update(dict.fromkeys(EXTRAS))  # whose import fails now

from refcoreml.testing import *

print(networks.__name__, assert_equivalent.__name__)
"""


def test_all_of_it_can_be_imported_without_any_extra() -> None:
    found = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert found.stdout.split() == ["networks", "assert_equivalent"], found.stderr


def test_the_package_knows_nothing_of_what_only_its_repository_runs() -> None:
    code = "import pkgutil, refcoreml.testing as t; print([m.name for m in pkgutil.iter_modules(t.__path__)])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "spec_grammar" in found
    for gone in ("torch_grammar", "campaign", "conversion", "__main__"):
        assert f"'{gone}'" not in found

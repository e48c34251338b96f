"""A pytest plugin: ``pytest --coreml-runtime=refcoreml`` predicts with refcoreml wherever tests use coremltools.

coremltools then believes to run on a recent macOS, so that tests that skip themselves elsewhere run. Without the option
the plugin does nothing.
"""

from __future__ import annotations

from typing import Any

import pytest

from refcoreml.errors import UsageError
from refcoreml.version import VERSION


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.getgroup("refcoreml", "Core ML models in tests").addoption(
        "--coreml-runtime",
        choices=["refcoreml"],
        help="what predicts when tests call coremltools: refcoreml, on any operating system, with coremltools' checks "
        "seeing a recent macOS; without this option whatever coremltools finds, which is nothing except on a Mac",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Switch on before any conftest or test module can ask coremltools about the system."""
    _switch_on(early_config.known_args_namespace)


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Enable the runtime also where a conftest loads the plugin."""
    _switch_on(config.option)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Switch off."""
    if config.option.coreml_runtime:
        from refcoreml.integrations import coremltools

        coremltools.disable()


def pytest_report_header(config: pytest.Config) -> str | None:
    """Return the line that names the runtime."""
    if not config.option.coreml_runtime:
        return None
    from refcoreml.integrations.coremltools import MACOS

    version = ".".join(map(str, MACOS))
    return f"Core ML runtime: refcoreml {VERSION} (coremltools sees macOS {version})"


def _switch_on(options: Any) -> None:
    if options.coreml_runtime:
        from refcoreml.integrations import coremltools

        try:
            coremltools.enable()
        except UsageError as error:
            raise pytest.UsageError(str(error)) from error

"""How much random tests try: little by default, all of it with ``REFCOREML_TESTS=thorough`` in the environment."""

from __future__ import annotations

import os

THOROUGH = os.environ.get("REFCOREML_TESTS", "") == "thorough"


def examples(count: int) -> int:
    """Return how many examples a test tries that has many of them when thorough."""
    return count if THOROUGH else max(5, count // 5)

"""Conformance: cases with proven tolerances, and what tests any implementation of Core ML against them.

- `cases`: reads a case. `verify`: judges what an implementation made of it. Both need NumPy
  alone, so that they can be copied, or ported, as they are.
- `expectations`: the implementer's own list of known failures. `runner`: runs cases in parallel, with timeouts.
  `smoke`: the case that comes first. `report`: table, JSON, JUnit, HTML.
- `exchange`: arrays on their way to an implementation and back.
- `session`: what a session in Python is. `worker`: hosts one. `guard`: ends what a command or a worker leaves behind.

The cases themselves lie in the repository under ``conformance/cases``. See ``docs/conformance.md``.
"""

from refcoreml.conformance.session import Rejected

__all__ = ["Rejected"]

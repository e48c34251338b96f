"""Conformance: cases with proven tolerances, and what holds any implementation of Core ML against them.

- `cases`: reads a case. `verify`: judges what an implementation made of it. Both need NumPy alone and import nothing of
  this package, so that they can be copied, or ported, as they are.
- `expectations`: the implementer's own list of known failures. `runner`: runs cases in parallel, with timeouts.
  `worker`: hosts a session written in Python. `report`: table, JSON, JUnit, HTML.

The cases themselves lie in the repository under ``conformance/cases``. See ``docs/conformance.md``.
"""

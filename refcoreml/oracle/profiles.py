"""Profiles: in which numbers an implementation computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from google.protobuf.message import Message

from refcoreml import values as given
from refcoreml.errors import UsageError
from refcoreml.oracle.balls import Ball, Doubles, Rounding
from refcoreml.oracle.storage import weight_radius

__all__ = ["DECLARED", "PROFILES", "Profile", "profile_named"]


@dataclass(frozen=True)
class Profile:
    """How blobs and weights are stored, and in which type layers compute.

    Attributes:
        name: ``declared``, ``fp32``, ``fp16/acc32`` or ``fp16/acc16``.
        storage: rounding of inputs, weights and blobs.
        arithmetic: rounding of each operation within a layer, sums included, in any order.
        declared: whether values that a program declares as half precision are stored as such, whatever `storage` is.
    """

    name: str
    storage: Rounding
    arithmetic: Rounding
    declared: bool = False

    @property
    def narrow_storage(self) -> Rounding | None:
        """The storage, if it is narrower than the arithmetic."""
        return None if self.storage.format == self.arithmetic.format else self.storage

    def stored_as(self, declared: np.dtype[Any]) -> Rounding | None:
        """Return how values of a declared type are stored; None for those that nothing rounds."""
        if declared.kind != "f":
            return None
        return _HALF if self.declared and declared == np.float16 else self.storage

    def radius(self, values: Doubles, message: Message | None = None, channel_axis: int = 0) -> Doubles:
        """Return how exactly weights are known; see `weight_radius`."""
        return weight_radius(values, message, channel_axis, self.storage, self.arithmetic)

    def scalar(self, value: Any) -> Ball:
        """Return plain numbers of the model, stored in the file in single precision, in the arithmetic's type."""
        return self.arithmetic.stored(Ball.exact(value))


_SINGLE, _HALF = Rounding.of(np.float32), Rounding.of(np.float16)

#: What the model says: networks, which say nothing, compute in single precision.
DECLARED = Profile("declared", _SINGLE, _SINGLE, declared=True)

#: The profiles that fix a type for all floats, by name.
PROFILES = {
    profile.name: profile
    for profile in (
        Profile("fp32", _SINGLE, _SINGLE),
        Profile("fp16/acc32", _HALF, _SINGLE),
        Profile("fp16/acc16", _HALF, _HALF),
    )
}


def profile_named(name: str | Profile) -> Profile:
    """Look a profile up, if it is none itself; raise `UsageError` for an unknown one."""
    if given.is_a(name, Profile):
        return cast(Profile, name)
    known = {**PROFILES, DECLARED.name: DECLARED}
    if not given.is_a(name, str) or name not in known:
        raise UsageError(f"unknown profile {given.quoted(name)}, choose one of {', '.join(known)}")
    return known[str(name)]

"""Inputs of networks and programs, as far as they are known: what preprocessing and storage do to them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from refcoreml.mil.node import Value
from refcoreml.neuralnetwork.interface import Interface
from refcoreml.neuralnetwork.preprocessing import Scaler
from refcoreml.oracle.balls import Ball, Rounding
from refcoreml.oracle.profiles import Profile
from refcoreml.oracle.radii import reseeded
from refcoreml.oracle.rules.table import Constants
from refcoreml.oracle.storage import flushed

__all__ = ["known_inputs", "stored_inputs", "stored_values"]


def known_inputs(
    interface: Interface, checked: Mapping[str, Any], rounding: Rounding, constants: Constants
) -> dict[str, Ball]:
    """Return input blobs; those of images with the rounding errors of their preprocessing, s * x + b or x - mean."""
    balls = {}
    for name, values in interface.to_blobs(checked).items():
        ball = Ball.exact(checked[name] if interface.preprocessing.get(name) else values)
        for step in interface.preprocessing.get(name, []):
            if isinstance(step, Scaler):
                bias = constants.scalar(np.array(step.biases)[:, None, None])
                ball = rounding.affine(ball, constants.scalar(step.scale), bias)
            else:
                ball = rounding.subtract(ball, constants.scalar(np.reshape(step.mean, ball.mid.shape)))
        balls[name] = Ball(ball.mid.reshape(values.shape), ball.rad.reshape(values.shape))
    return balls


def stored_inputs(interface: Interface, checked: Mapping[str, Any], profile: Profile) -> dict[str, Ball]:
    """Return input blobs in a profile's storage type; inputs are rounded to it, and exact from there."""
    balls = {}
    for name, ball in known_inputs(interface, checked, profile.arithmetic, profile).items():
        if interface.preprocessing.get(name):
            balls[name] = profile.storage.stored(ball)
            continue
        with np.errstate(over="ignore"):
            stored = ball.mid.astype(profile.storage.format).astype(np.float64)
        balls[name] = Ball(stored, flushed(stored, profile.storage))
    return balls


def stored_values(declared: Mapping[str, Value], values: Mapping[str, Any], profile: Profile) -> dict[str, Ball]:
    """Return the inputs of a program in the types in which a profile stores them, integers as they are."""
    balls = {}
    for name, value in values.items():
        tensor = declared[name].tensor
        balls[name] = Ball(*reseeded(value, None if tensor is None else profile.stored_as(tensor.element.dtype)))
    return balls

"""Modules with control flow, in a file of their own: TorchScript reads annotations, and wants them as objects."""
# mypy: allow-untyped-defs
# ruff: noqa: D102 (a class's docstring says what its forward computes)

from typing import Any

from refcoreml.testing import extras

#: The package itself: TorchScript looks no further.
torch: Any = extras.torch.load()


class Branches(torch.nn.Module):  # type: ignore[misc]
    """One of two bodies, by the sign of the sum."""

    def __init__(self, a, b):
        super().__init__()
        self.a, self.b = a, b

    def forward(self, x):
        y = self.a(x) if bool(x.sum() > 0) else self.b(x)
        return y + x


class CountedLoop(torch.nn.Module):  # type: ignore[misc]
    """A body a fixed number of times."""

    __constants__ = ("rounds",)

    def __init__(self, body, rounds):
        super().__init__()
        self.body, self.rounds = body, rounds

    def forward(self, x):
        for _ in range(self.rounds):
            x = self.body(x)
        return x


class WhileLoop(torch.nn.Module):  # type: ignore[misc]
    """A body until the values have become small, which they do: in the end they are at most 0.1 each."""

    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, x):
        while bool(x.abs().sum() > 1.0):
            x = x * 0.5 + torch.tanh(self.body(x)) * 0.05
        return x


class LoopWithBranch(torch.nn.Module):  # type: ignore[misc]
    """A branch inside a loop."""

    __constants__ = ("rounds",)

    def __init__(self, body, rounds):
        super().__init__()
        self.body, self.rounds = body, rounds

    def forward(self, x):
        for _ in range(self.rounds):
            y = self.body(x)
            x = y * 0.5 if bool(y.sum() > 0.5) else y + 0.25
        return x

"""The exit codes of all commands, and how they are explained."""

from __future__ import annotations

from refcoreml.errors import (
    InputError,
    InternalError,
    InvalidModelError,
    MalformedModelError,
    ModelNotFoundError,
    RefCoreMLError,
    UnsupportedModelError,
    UsageError,
)

CHECK_FAILED = 1
USAGE = 2
BAD_MODEL = 3
UNSUPPORTED = 4
OTHER = 5
#: The implementation that ``conformance run`` tests does not work at all.
SMOKE_FAILED = 6
#: What ``judge`` finds, if it is neither explained nor plainly wrong.
SUSPECTED, UNDECIDED, CONVERTER = 7, 8, 9
#: EX_SOFTWARE of sysexits.h.
INTERNAL = 70
INTERRUPTED = 130

MEANINGS = {
    0: "success, also when the reader of the output closes the pipe, as in '| head'",
    CHECK_FAILED: "a check failed: a NaN in trace, a limit of compare, a conformance case, an oracle without bounds, "
    "outputs in judge that rounding does not explain",
    USAGE: "wrong arguments or inputs, or a file that does not exist",
    BAD_MODEL: "no Core ML model, or a damaged or invalid one",
    UNSUPPORTED: "a valid model that refcoreml cannot run, or only with your code (--custom)",
    OTHER: "any other failure: the disk, the memory, your code",
    SMOKE_FAILED: "conformance run: the implementation did not return the smoke case correctly",
    SUSPECTED: "judge: recorded outputs are suspicious, outside of likely bounds and inside of proven ones",
    UNDECIDED: "judge: undetermined, as rounding would explain almost anything, or there was nothing to compare",
    CONVERTER: "judge --source: the conversion differs from the source",
    INTERNAL: "a fault of refcoreml (REFCOREML_TRACEBACK=1 shows where)",
    INTERRUPTED: "interrupted",
}

_BY_ERROR: list[tuple[type[RefCoreMLError], int]] = [
    (UsageError, USAGE),
    (InputError, USAGE),
    (ModelNotFoundError, USAGE),
    (MalformedModelError, BAD_MODEL),
    (InvalidModelError, BAD_MODEL),
    (UnsupportedModelError, UNSUPPORTED),
    (InternalError, INTERNAL),
    (RefCoreMLError, OTHER),
]


def code_of(error: RefCoreMLError) -> int:
    """Return the exit code for an error, by whose fault it is."""
    return next(code for kind, code in _BY_ERROR if isinstance(error, kind))


def explained() -> str:
    """Return the codes and their meanings as lines of text."""
    return "exit codes:\n" + "".join(f"  {code:>3}  {meaning}\n" for code, meaning in MEANINGS.items())

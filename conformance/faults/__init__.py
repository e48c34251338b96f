"""Faults that an implementer plausibly makes, each a way to break the interpreter from outside.

Those of layers are in `networks`, those of ML Programs in `programs`. `conformance.mutations` injects them one at a
time and sees which cases of the suite notice. Those that no case can notice are kept, with the reason.
"""

from conformance.faults import networks, programs
from conformance.faults.fault import Mutation

__all__ = ["MUTATIONS", "NETWORKS", "PROGRAMS", "Mutation"]

NETWORKS, PROGRAMS = networks.MUTATIONS, programs.MUTATIONS
MUTATIONS = [*NETWORKS, *PROGRAMS]

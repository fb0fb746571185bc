"""Which compiled twins run.

A hot loop has a Python reference and, where a compiler was present at installation, a Cython twin with the same
functions beside it, named like it with an underscore before. `PORTBOOK_PURE=1` asks for the references.
"""

from __future__ import annotations

import os
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import ModuleType

TWINS = (
    "portbook.linux.descriptors",
    "portbook.output.rows",
    "portbook.probe.connecting",
    "portbook.wire.sock_diag",
)


def twin(reference: str) -> ModuleType | None:
    """Return the compiled twin of the module named `reference`, or None where it is absent or unwanted."""
    if os.environ.get("PORTBOOK_PURE"):
        return None
    package, _, name = reference.rpartition(".")
    try:
        return import_module(f"{package}._{name}")
    except ImportError:
        return None


def best(reference: str) -> ModuleType:
    """Return the compiled twin of the module named `reference` where it runs, else the reference itself."""
    return twin(reference) or import_module(reference)


def running() -> dict[str, bool]:
    """Return for each module that has a compiled twin whether the twin runs."""
    return {name: twin(name) is not None for name in TWINS}

# SPDX-License-Identifier: Apache-2.0
"""The wrappers as modules: they are programs without an ending."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parents[2] / "containerfiles/wrappers"


def load(name: str) -> ModuleType:
    """Return a wrapper, or the program at an absolute path, as a module."""
    loader = importlib.machinery.SourceFileLoader(
        Path(name).name.replace("-", "_").replace(".", "_"), str(FOLDER / name)
    )
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec
    module = importlib.util.module_from_spec(spec)
    # Nothing of it is kept beside its source, which images copy.
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    loader.exec_module(module)
    sys.dont_write_bytecode = before
    return module

"""Other projects, for comparisons; one that is not installed is one line and exit code 2, not a traceback."""

import importlib
import sys
from collections.abc import Callable
from types import ModuleType

from restoration.errors import RequestError, RestorationError

REMOVED = "torchvision.transforms.functional_tensor"


def peer(module: str, install: str) -> ModuleType:
    """Return an installed module, such as ``"piq"``; ``install`` is what pip would have to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise RequestError(f"peer {module}: cannot be imported ({error}); pip install {install}") from None


def basicsr(module: str) -> ModuleType:
    """Return one module of BasicSR, such as ``"metrics.psnr_ssim"``.

    Importing any runs the whole package, which takes one function from a module that torchvision has removed; that
    module is stood in for while the import lasts.
    """
    stand_in = ModuleType(REMOVED)
    stand_in.__dict__["rgb_to_grayscale"] = peer(
        "torchvision.transforms.functional", "torchvision"
    ).rgb_to_grayscale
    sys.modules[REMOVED] = stand_in
    try:
        return peer(f"basicsr.{module}", "restoration-suite[basicsr]")
    finally:
        del sys.modules[REMOVED]


def run(main: Callable[[], None]) -> None:
    """Run a comparison; a missing peer is one line and exit code 2, results that differ are exit code 1."""
    try:
        main()
    except RestorationError as error:
        print(f"restoration: {error}", file=sys.stderr)
        sys.exit(error.exit_code)

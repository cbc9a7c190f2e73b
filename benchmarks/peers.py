"""Other projects, for comparisons; one that is not installed is one line and exit code 2, not a traceback."""

import importlib
import sys
from collections.abc import Callable
from types import ModuleType

from restoration import bridge
from restoration.bridge import REMOVED
from restoration.errors import RequestError, RestorationError

__all__ = ["REMOVED", "basicsr", "peer", "run"]


def peer(module: str, install: str) -> ModuleType:
    """Return an installed module, such as ``"piq"``; ``install`` is what pip would have to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise RequestError(f"peer {module}: cannot be imported ({error}); pip install {install}") from None


def basicsr(module: str) -> ModuleType:
    """Return one module of BasicSR, such as ``"metrics.psnr_ssim"``, out of the whole package."""
    with bridge.whole(f"basicsr.{module}"):
        return peer(f"basicsr.{module}", "restoration-suite[basicsr]")


def run(main: Callable[[], None]) -> None:
    """Run a comparison; a missing peer is one line and exit code 2, results that differ are exit code 1."""
    try:
        main()
    except RestorationError as error:
        print(f"restoration: {error}", file=sys.stderr)
        sys.exit(error.exit_code)

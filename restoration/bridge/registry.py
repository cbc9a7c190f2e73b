"""Entries of BasicSR's registries as parts of an experiment: network ``basicsr/EDSR``, term ``basicsr/L1Loss``.

What they are built with are their constructors' own keywords. ``module`` names a module of the user's own that
registers the class; it is imported for that.
"""

import importlib
import inspect
import re
import warnings
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any

from pydantic import PydanticUserError, TypeAdapter
from torch import nn

from restoration import bridge
from restoration.bridge.loss import BridgedLoss
from restoration.bridge.network import BridgedNetwork
from restoration.config import nearest
from restoration.errors import RequestError

CLIPS = "it takes clips of frames, and networks here restore single images"
FACES = "it is one half of a system with its own training"
OUT = "it is never imported here: it is "
# registered, but no network or pair loss of ours: why, and what instead
NOT_HERE = {
    "BasicVSR": CLIPS,
    "BasicVSRPlusPlus": CLIPS,
    "DFDNet": OUT + bridge.NON_COMMERCIAL,
    "DUF": CLIPS,
    "EDVR": CLIPS,
    "GANLoss": 'it needs a discriminator that learns; use { name = "adversarial", discriminator = … }',
    "HiFaceGAN": FACES,
    "HiFaceGANDiscriminator": FACES,
    "IconVSR": CLIPS,
    "MultiScaleGANLoss": 'it needs a discriminator that learns; use { name = "adversarial", '
    'discriminator = { name = "multi-scale" } }',
    "PerceptualLoss": 'it downloads VGG where it does not find it; use { name = "perceptual" } or "style", '
    "which give the same values",
    "SpyNet": "it estimates motion between two frames",
    "StyleGAN2Discriminator": OUT + bridge.NVIDIA,
    "StyleGAN2Generator": OUT + bridge.NVIDIA,
    "TOFlow": CLIPS,
    "UNetDiscriminatorSN": 'it is a discriminator; use discriminator = { name = "unet-spectral" }',
    "VGGFeatureExtractor": 'it gives features, no image; use { name = "perceptual" }',
    "VGGStyleDiscriminator": 'it is a discriminator; use discriminator = { name = "vgg-style" }',
    "WeightedTVLoss": 'it sees the restored image alone; use { name = "total-variation" }',
}
# the registry, the folder and the ending of its files, for each noun of ours
PLACES = {"network": ("ARCH", "archs", "_arch"), "term": ("LOSS", "losses", "_loss")}
# what importing a module of somebody else's and asking for a class of it may raise, beside running out of memory
BROKEN = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
)
EMPTY = inspect.Parameter.empty


@dataclass(frozen=True)
class Part:
    """The class that a name such as ``basicsr/EDSR`` stands for, as a constructor of one of our nouns."""

    noun: str
    name: str

    def keywords(self, spec: dict[str, Any]) -> dict[str, inspect.Parameter]:
        """Return the keywords that an experiment may give, after importing what ``spec`` names."""
        module = spec.get("module")
        if module is not None and (not isinstance(module, str) or not module):
            raise ValueError(
                f"module = {module!r}: expected the name of a module, such as my_package.my_arch"
            )
        shared = {"module": _keyword("module", str | None, None)}
        own = {k: v for k, v in _own_keywords(self.cls(module)).items() if k != "reduction" or not self._loss}
        if clash := shared.keys() & own.keys():
            raise ValueError(
                f"{self.name} has a keyword '{min(clash)}' of its own, which cannot be given here"
            )
        return own | shared

    def cls(self, module: str | None) -> type[nn.Module]:
        """Return the class itself."""
        family, _, member = self.name.partition("/")
        if family != bridge.PACKAGE or self.noun not in PLACES:
            raise ValueError(
                f"unknown {self.noun} '{self.name}'; with a slash there are networks and terms basicsr/…"
            )
        return _of_module(self.noun, member, module) if module else _of_package(self.noun, member)

    def __call__(self, *, module: str | None = None, **keywords: Any) -> BridgedNetwork | BridgedLoss:  # noqa: ANN401
        """Return the part, built with its own keywords."""
        cls = self.cls(module)
        reduced = {"reduction": "none"} if self._loss and "reduction" in _own_keywords(cls) else {}
        with warnings.catch_warnings():  # architectures use what torch will change one day
            warnings.simplefilter("ignore")
            if self._loss:
                return BridgedLoss(cls(**keywords, **reduced), self.name)
            return BridgedNetwork(cls(**keywords), _filled(cls, keywords), self.name)

    @property
    def _loss(self) -> bool:
        return self.noun == "term"


@lru_cache(maxsize=8)
def index(folder: Path, noun: str) -> dict[str, str]:
    """Return class → module of every entry that the package's files register; they are read, not run."""
    registry, place, ending = PLACES[noun]
    pattern = rf"@{registry}_REGISTRY\.register\([^)]*\)\s*\nclass\s+(\w+)"
    found = {}
    for file in sorted((folder / place).glob(f"*{ending}.py")):
        for name in re.findall(pattern, file.read_text(encoding="utf-8")):
            found[name] = f"{bridge.PACKAGE}.{place}.{file.stem}"
    return dict(sorted(found.items()))


def usable(folder: Path, noun: str) -> list[str]:
    """Return the names, such as ``"basicsr/EDSR"``, of the package's entries that a network or term here can be."""
    return [f"{bridge.PACKAGE}/{entry}" for entry in index(folder, noun) if entry not in NOT_HERE]


def noun_of(name: str) -> str:
    """Return whether ``"basicsr/EDSR"`` is a network or a term; any other name is refused in one line."""
    member = name.partition("/")[2]
    if member in NOT_HERE:
        raise ValueError(f"{name}: {NOT_HERE[member]}")
    folder = bridge.require(name)
    known = {entry: noun for noun in PLACES for entry in usable(folder, noun)}
    if name not in known:
        raise ValueError(f"unknown name '{name}'{nearest(name, known)}")
    return known[name]


def _of_package(noun: str, name: str) -> type[nn.Module]:
    if name in NOT_HERE:
        raise ValueError(f"basicsr/{name}: {NOT_HERE[name]}")
    folder = bridge.require(f"{noun} basicsr/{name}")
    known = index(folder, noun)
    if name not in known:
        names = usable(folder, noun)
        hint = nearest(f"basicsr/{name}", names) or f"; expected one of {', '.join(names)}."
        raise ValueError(
            f"unknown {noun} 'basicsr/{name}'{hint} A class of your own needs module, which registers it"
        )
    with bridge.parts(known[name]):
        return getattr(_imported(known[name], f"basicsr/{name}"), name)


def _of_module(noun: str, name: str, module: str) -> type[nn.Module]:
    bridge.require(f"{noun} basicsr/{name}")
    with bridge.whole(module):
        own = _imported(module, f"basicsr/{name}")
        registry = getattr(_imported("basicsr.utils.registry", name), f"{PLACES[noun][0]}_REGISTRY")
        entries = dict(iter(registry))
    found = entries.get(name, getattr(own, name, None))
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        registered = [key for key, cls in entries.items() if cls.__module__ == own.__name__]
        hint = nearest(name, registered) or f"; it registers {', '.join(registered) or 'none'}"
        raise ValueError(f"module '{module}' has no {noun} '{name}'{hint}")
    return found


def _imported(module: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except RequestError:  # of a module that is refused
        raise
    except BROKEN as error:
        raise RequestError(f"{name}: module '{module}' cannot be imported ({error})") from None


def _own_keywords(cls: type[nn.Module]) -> dict[str, inspect.Parameter]:
    """Return the constructor's keywords with a type each: the declared one, else that of the default."""
    try:
        parameters = inspect.signature(cls.__init__, eval_str=True).parameters
    except NameError:  # names that its module imports for type checkers alone
        parameters = inspect.signature(cls.__init__).parameters
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {
        name: _keyword(name, _type(parameter), parameter.default)
        for name, parameter in list(parameters.items())[1:]
        # layers given as classes or functions cannot be written in a file
        if parameter.kind in kinds and (parameter.default is EMPTY or not callable(parameter.default))
    }


def _type(parameter: inspect.Parameter) -> Any:  # noqa: ANN401
    if _can_be_checked(parameter.annotation):
        return parameter.annotation
    if parameter.default is None or parameter.default is EMPTY:
        return EMPTY if parameter.default is EMPTY else Any
    # `res_scale=1` takes 0.1 as well
    return int | float if type(parameter.default) is int else type(parameter.default)


def _can_be_checked(annotation: Any) -> bool:  # noqa: ANN401
    if annotation is EMPTY or isinstance(annotation, str):
        return False
    try:
        TypeAdapter(annotation)
    except PydanticUserError:  # a class that is no plain data
        return False
    return True


def _filled(cls: type[nn.Module], keywords: dict[str, Any]) -> dict[str, Any]:
    defaults = {k: p.default for k, p in _own_keywords(cls).items() if p.default is not EMPTY}
    return defaults | keywords


def _keyword(name: str, annotation: Any, default: Any = EMPTY) -> inspect.Parameter:  # noqa: ANN401
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def part(noun: str, name: str) -> Part:
    """Return the constructor that ``name``, such as ``"basicsr/EDSR"``, stands for; its keywords say what is wrong."""
    return Part(noun, name)

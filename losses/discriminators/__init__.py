"""Discriminators by name: networks that tell restored images from clean ones."""

from restoration.losses.discriminators.discriminator import Discriminator, discriminator_of, outputs_of
from restoration.losses.discriminators.haar_trunk import HaarTrunk
from restoration.losses.discriminators.patch import GlobalLocal, MultiScale, Patch
from restoration.losses.discriminators.unet import UnetSpectral
from restoration.losses.discriminators.vgg import VggStyle

DISCRIMINATORS: dict[str, type[Discriminator]] = {
    "global-local": GlobalLocal,
    "haar-trunk": HaarTrunk,
    "multi-scale": MultiScale,
    "patch": Patch,
    "unet-spectral": UnetSpectral,
    "vgg-style": VggStyle,
}

__all__ = ["DISCRIMINATORS", "Discriminator", "discriminator_of", "outputs_of"]

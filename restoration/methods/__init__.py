"""Training methods by name."""

from restoration.method import Method
from restoration.methods.autoencoding import Autoencoding
from restoration.methods.direct import Direct
from restoration.methods.invertible import InvertibleRescaling
from restoration.methods.rectified_flow import RectifiedFlow

METHODS: dict[str, type[Method]] = {
    "autoencoding": Autoencoding,
    "direct": Direct,
    "rectified-flow": RectifiedFlow,
    "invertible": InvertibleRescaling,
}

"""Networks by name."""

from restoration.networks.dncnn import DnCnn
from restoration.networks.edsr import Edsr
from restoration.networks.imdn import Imdn
from restoration.networks.msrresnet import MsrResNet
from restoration.networks.nafnet import NafNet
from restoration.networks.network import Network
from restoration.networks.plainsr import PlainSr
from restoration.networks.rrdbnet import RrdbNet
from restoration.networks.spandrel import Spandrel
from restoration.networks.srresnet import SrResNet
from restoration.networks.unet import ResUnet

NETWORKS: dict[str, type[Network]] = {
    "dncnn": DnCnn,
    "edsr": Edsr,
    "imdn": Imdn,
    "msrresnet": MsrResNet,
    "nafnet": NafNet,
    "plain-sr": PlainSr,
    "res-unet": ResUnet,
    "rrdbnet": RrdbNet,
    "spandrel": Spandrel,
    "srresnet": SrResNet,
}

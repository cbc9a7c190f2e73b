"""Networks by name."""

from restoration.networks.dncnn import DnCnn
from restoration.networks.edsr import Edsr
from restoration.networks.imdn import Imdn
from restoration.networks.inn import Inn
from restoration.networks.msrresnet import MsrResNet
from restoration.networks.nafnet import NafNet
from restoration.networks.network import Network
from restoration.networks.plainsr import PlainSr
from restoration.networks.posterior_mean_flow import PosteriorMeanFlow
from restoration.networks.rrdbnet import RrdbNet
from restoration.networks.spandrel import Spandrel
from restoration.networks.srresnet import SrResNet
from restoration.networks.unet import ResUnet

NETWORKS: dict[str, type[Network]] = {
    "dncnn": DnCnn,
    "edsr": Edsr,
    "imdn": Imdn,
    "inn": Inn,
    "msrresnet": MsrResNet,
    "nafnet": NafNet,
    "plain-sr": PlainSr,
    "posterior-mean-flow": PosteriorMeanFlow,
    "res-unet": ResUnet,
    "rrdbnet": RrdbNet,
    "spandrel": Spandrel,
    "srresnet": SrResNet,
}

"""Networks by name."""

from restoration.networks.carn import Carn
from restoration.networks.diffusers_unet import DiffusersUnet
from restoration.networks.dncnn import DnCnn
from restoration.networks.edsr import Edsr
from restoration.networks.errnet import Errnet
from restoration.networks.espcn import EspCn
from restoration.networks.fdncnn import FdnCnn
from restoration.networks.ffdnet import FfdNet
from restoration.networks.fsrcnn import FsrCnn
from restoration.networks.hdit import Hdit
from restoration.networks.ibcln import Ibcln
from restoration.networks.imdn import Imdn
from restoration.networks.imdn_attentive import ImdnAttentive
from restoration.networks.imdn_chain import ImdnChain
from restoration.networks.imdn_edge import ImdnEdge
from restoration.networks.inn import Inn
from restoration.networks.ircnn import IrCnn
from restoration.networks.kl_autoencoder import KlAutoencoder
from restoration.networks.medfe import Medfe
from restoration.networks.msrresnet import MsrResNet
from restoration.networks.nafnet import NafNet
from restoration.networks.network import Network
from restoration.networks.noise_da import NoiseDa
from restoration.networks.pan import Pan
from restoration.networks.plainsr import PlainSr
from restoration.networks.posterior_mean_flow import PosteriorMeanFlow
from restoration.networks.rbpn import Rbpn
from restoration.networks.rcan import Rcan
from restoration.networks.resshift import ResShift
from restoration.networks.resshift_unet import ResShiftUnet
from restoration.networks.rfdn import Rfdn
from restoration.networks.rrdbnet import RrdbNet
from restoration.networks.rrformer import RrFormer
from restoration.networks.spandrel import Spandrel
from restoration.networks.srgan_generator import SrganGenerator
from restoration.networks.srresnet import SrResNet
from restoration.networks.swinir import SwinIrPacked
from restoration.networks.transport import Transport
from restoration.networks.unet import ResUnet
from restoration.networks.upconv_srresnet import UpconvSrResNet
from restoration.networks.vdsr import Vdsr
from restoration.networks.vq_autoencoder import VqAutoencoder

NETWORKS: dict[str, type[Network]] = {
    "carn": Carn,
    "diffusers-unet": DiffusersUnet,
    "dncnn": DnCnn,
    "edsr": Edsr,
    "errnet": Errnet,
    "espcn": EspCn,
    "fdncnn": FdnCnn,
    "ffdnet": FfdNet,
    "fsrcnn": FsrCnn,
    "hdit": Hdit,
    "ibcln": Ibcln,
    "imdn": Imdn,
    "imdn-attentive": ImdnAttentive,
    "imdn-chain": ImdnChain,
    "imdn-edge": ImdnEdge,
    "inn": Inn,
    "ircnn": IrCnn,
    "kl-autoencoder": KlAutoencoder,
    "medfe": Medfe,
    "msrresnet": MsrResNet,
    "nafnet": NafNet,
    "noise-da": NoiseDa,
    "pan": Pan,
    "plain-sr": PlainSr,
    "posterior-mean-flow": PosteriorMeanFlow,
    "rbpn": Rbpn,
    "rcan": Rcan,
    "res-unet": ResUnet,
    "resshift": ResShift,
    "resshift-unet": ResShiftUnet,
    "rfdn": Rfdn,
    "rrdbnet": RrdbNet,
    "rrformer": RrFormer,
    "spandrel": Spandrel,
    "srgan-generator": SrganGenerator,
    "srresnet": SrResNet,
    "swinir-packed": SwinIrPacked,
    "transport": Transport,
    "upconv-srresnet": UpconvSrResNet,
    "vdsr": Vdsr,
    "vq-autoencoder": VqAutoencoder,
}

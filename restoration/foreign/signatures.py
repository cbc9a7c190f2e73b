"""The layouts by name, with the tensors that identify each; `docs/layouts.md` says more of them."""

from collections.abc import Collection

# tensors that any file of the layout has, whatever its size
SIGNATURES: dict[str, tuple[str, ...]] = {
    "CARN, CARN-M (authors)": ("sub_mean.shifter.weight", "entry.weight", "b1.c1.body.0.weight", "exit.weight"),
    "DnCNN, FDnCNN, FFDNet, IRCNN (KAIR)": ("model.0.weight", "model.2.weight"),
    "EDSR (authors)": ("head.0.weight", "body.0.body.0.weight", "sub_mean.bias", "tail.1.weight"),
    "EDSR (BasicSR)": ("conv_first.weight", "body.0.conv1.weight", "conv_after_body.weight", "conv_last.weight"),
    "ERRNet, BaseNet (authors)": (
        "conv1.conv2d.weight", "res_module.0.conv1.conv2d.weight", "deconv3.conv2d.weight",
    ),
    "ESPCN": ("first_part.0.weight", "first_part.2.weight", "last_part.0.weight"),
    "FSRCNN": ("first_part.0.weight", "mid_part.0.weight", "last_part.weight"),
    "HDiT (PMRF)": (
        "patch_in.proj.weight", "time_emb.weight", "mapping.in_norm.scale", "mid_level.0.ff.down_proj.weight",
    ),
    "IBCLN (authors)": ("conv_i.0.weight", "conv1.0.weight", "diconv1.0.weight", "output.0.weight"),
    "IMDN (KAIR)": ("model.0.weight", "model.1.sub.0.conv1x1.weight", "model.2.weight"),
    "IMDN, IMDN_AS (authors)": ("IMDB1.c1.weight", "IMDB1.cca.conv_du.0.weight", "c.0.weight", "upsampler.0.weight"),
    "IMDN_RTC (authors)": ("model.0.weight", "model.1.sub.0.c1.weight", "model.1.sub.0.c5.weight", "model.2.weight"),
    "IMDN_RTE (authors)": ("fea_conv.0.weight", "fea_conv.2.weight", "block1.c7.weight", "upsampler.0.weight"),
    "MEDFE, decoder (authors)": ("Decoder_1.model.1.weight", "Decoder_6.model.1.weight"),
    "MEDFE, encoder (authors)": ("Encoder_1.model.0.weight", "middle.0.conv_block.1.weight"),
    "MEDFE, middle (authors)": ("pc_block.down_128.model.0.weight", "pc_block.fuse.model.0.weight"),
    "MSRResNet (BasicSR), SRGAN": ("conv_first.weight", "body.0.conv1.weight", "upconv1.weight", "conv_hr.weight"),
    "MSRResNet0 (KAIR)": ("model.0.weight", "model.1.sub.0.res.0.weight", "model.1.sub.0.res.2.weight"),
    "MSRResNet1 (KAIR)": ("conv_first.weight", "recon_trunk.0.conv1.weight", "upconv1.weight", "HRconv.weight"),
    "NAFNet (authors)": ("intro.weight", "ending.weight", "middle_blks.0.beta", "downs.0.weight"),
    "Noise-DA (authors)": ("down_path.0.block.0.weight", "last.weight"),
    "PAN (authors)": ("conv_first.weight", "SCPA_trunk.0.conv1_a.weight", "upconv1.weight", "att1.conv.weight"),
    "RBPN (authors)": ("feat0.conv.weight", "feat1.conv.weight", "res_feat1.0.conv1.weight", "output.conv.weight"),
    "RCAN (BasicSR)": (
        "conv_first.weight", "body.0.residual_group.0.rcab.0.weight",
        "body.0.residual_group.0.rcab.3.attention.1.weight", "conv_after_body.weight",
    ),
    "RFDN (authors)": ("fea_conv.weight", "B1.c1_d.weight", "B1.esa.conv_f.weight", "upsampler.0.weight"),
    "RRDB (KAIR, first ESRGAN)": ("model.0.weight", "model.1.sub.0.RDB1.conv1.0.weight"),
    "RRDBNet (BasicSR)": ("conv_first.weight", "body.0.rdb1.conv1.weight", "conv_up1.weight", "conv_last.weight"),
    "RRDBNet (KAIR, ESRGAN)": (
        "conv_first.weight", "RRDB_trunk.0.RDB1.conv1.weight", "upconv1.weight", "HRconv.weight",
    ),
    "RRFormer (authors)": (
        "conv1.conv2d.weight", "swinir_block.patch_embed.norm.weight", "deconv3.conv2d.weight",
        "swinir_block.layers.0.residual_group.blocks.0.attn.relative_position_bias_table",
    ),
    "ResShift, SinSR: denoiser": (
        "time_embed.0.weight", "input_blocks.0.0.weight", "output_blocks.0.0.in_layers.2.weight", "out.2.weight",
    ),
    "ResShift, SinSR: VQ autoencoder": (
        "encoder.conv_in.weight", "encoder.down.0.block.0.conv1.weight", "quantize.embedding.weight",
        "decoder.conv_out.weight", "quant_conv.weight",
    ),
    "SRGAN (iSeeBetter)": ("block1.0.weight", "block2.conv1.weight", "block2.bn1.weight"),
    "SRVGGNetCompact (BasicSR)": ("body.0.weight", "body.1.weight", "body.2.weight"),
    "SwinIR (PMRF)": (
        "conv_first.1.weight", "layers.0.residual_group.blocks.0.attn.relative_position_bias_table",
        "conv_before_upsample.0.weight", "conv_hr.weight", "conv_last.weight",
    ),
    "VDSR": ("input.weight", "residual_layer.0.conv.weight", "output.weight"),
}  # fmt: skip


def nearest_layout(state: Collection[str]) -> str:
    """Return the layout that shares most of its identifying names with ``state``, and those it lacks; or nothing."""
    firsts = dict.fromkeys(name.split(".")[0] for name in state if "." in name)
    parts = [set(state)]
    parts += [
        {name.removeprefix(f"{first}.") for name in state if name.startswith(f"{first}.")} for first in firsts
    ]
    found = ((_share(keys, part), name, part) for part in parts for name, keys in SIGNATURES.items())
    best = max(found, key=lambda each: each[0], default=None)
    if best is None or best[0] == (0.0, 0):
        return ""
    missing = [key for key in SIGNATURES[best[1]] if key not in best[2]]
    return f"; the nearest layout is {best[1]}" + (
        f", which has {', '.join(missing)} besides" if missing else ""
    )


def _share(keys: tuple[str, ...], state: Collection[str]) -> tuple[float, int]:
    """Return the share of ``keys`` that are there, and how many those are; one of a common name says nothing."""
    found = sum(key in state for key in keys)
    return (found / len(keys), found) if found > 1 else (0.0, 0)

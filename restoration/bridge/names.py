"""What architectures call their size ratio and their channels; nothing here imports torch."""

SCALES = (
    "scale",
    "upscale",
    "upscale_factor",
    "upscaling_factor",
    "scale_factor",
    "up_scale",
    "sr_scale",
    "sf",
)
CHANNELS = (
    "num_in_ch",
    "in_chans",
    "in_nc",
    "in_ch",
    "in_channels",
    "inp_channels",
    "img_channel",
    "n_colors",
)
OUTPUTS = ("num_out_ch", "out_nc", "out_ch", "out_channels")

"""Image restoration and perceptual losses: train, apply and benchmark. Importing this costs nothing."""

__version__ = "0.1.0"

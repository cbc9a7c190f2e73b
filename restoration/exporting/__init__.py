"""Weights in and out: others' checkpoints become files of ours; restorers become files that others read."""

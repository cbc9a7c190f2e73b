"""Optimal transport of a restorer's results to clean images, in closed form, from a dozen images of each."""

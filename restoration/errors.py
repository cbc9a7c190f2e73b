"""What can go wrong, and with which exit code.

RestorationError          the work failed                                exit code 1
├── ImageError            a file is not an image that can be read        (a file among many: the rest goes on)
├── TrainingStopped       a run met a value that is not finite
└── RequestError          the request was wrong; nothing was started     exit code 2
    ├── ConfigError       a key, a name or a value of a file or of --set
    └── WeightsError      weights are missing, damaged or of another network

Every message is one line: where, what was got, what was expected, the nearest valid name;
a second line only for a remedy.
"""


class RestorationError(Exception):
    """The work failed."""

    exit_code = 1


class ImageError(RestorationError, ValueError):
    """A file is not an image that can be read."""


class TrainingStopped(RestorationError):
    """A run met a value that is not finite; the last good checkpoint is kept."""


class RequestError(RestorationError, ValueError):
    """The request was wrong; nothing was started."""

    exit_code = 2


class ConfigError(RequestError):
    """A key, a name or a value of a file or of ``--set`` is wrong."""


class WeightsError(RequestError):
    """Weights are missing, damaged or of another network."""

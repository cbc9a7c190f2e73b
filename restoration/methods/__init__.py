"""Training methods by name."""

from restoration.method import Method
from restoration.methods.direct import Direct

METHODS: dict[str, type[Method]] = {
    "direct": Direct,
}

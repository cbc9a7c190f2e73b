"""``python -m restoration``."""

from restoration.cli import main

main()

"""`python -m saafe`, which torchrun needs."""

from saafe.cli import main

main()

"""The ultra-fast tier on rented GPUs: `saafe launch ultra-fast --on sagemaker`."""

import sys

from saafe.cli import main

sys.argv[1:] = ["launch", "ultra-fast", "--on", "sagemaker", *sys.argv[1:]]
main()

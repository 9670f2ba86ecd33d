#!/bin/sh
# The ultra-fast tier on rented GPUs; `--on here` or `--on emulator` cost nothing.
if [ -x "$(dirname "$0")/.venv/bin/saafe" ]; then PATH="$(dirname "$0")/.venv/bin:$PATH"; fi
exec saafe launch ultra-fast --on sagemaker "$@"

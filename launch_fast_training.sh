#!/bin/sh
# The ultra-fast tier on rented GPUs; `--on here` or `--on emulator` cost nothing.
# What it would take, without an account: `saafe prices`.
PATH="$(dirname "$0")/.venv/bin:$PATH"
command -v saafe >/dev/null || { echo "saafe is not installed: run make install" >&2; exit 1; }
exec saafe launch ultra-fast --on sagemaker "$@"

#!/bin/sh
# Follow the job launched last.
if [ -x "$(dirname "$0")/.venv/bin/saafe" ]; then PATH="$(dirname "$0")/.venv/bin:$PATH"; fi
exec saafe watch --latest "$@"

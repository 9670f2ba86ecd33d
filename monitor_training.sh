#!/bin/sh
# Follow the job launched last.
PATH="$(dirname "$0")/.venv/bin:$PATH"
command -v saafe >/dev/null || { echo "saafe is not installed: run make install" >&2; exit 1; }
exec saafe watch --latest "$@"

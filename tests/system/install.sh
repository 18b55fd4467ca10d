#!/usr/bin/env bash
# Installs the Debian packages that the tests marked `system` need: a browser, a database server, a batch system.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive
apt-get update --quiet=2
apt-get install --yes --quiet=2 --no-install-recommends chromium postgresql slurm-wlm munge >/dev/null

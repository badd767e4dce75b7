# shellcheck shell=bash
# What the scripts share. Source it; it changes to no other directory and starts nothing.
#
# Exit codes of every script: 0 done, 1 failed, 2 wrong usage, 3 something this machine lacks.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
DEV=$ROOT/.dev
mkdir -p "$DEV"

say() { printf '==> %s\n' "$*" >&2; }
fail() { printf 'error: %s\n' "$*" >&2; exit 1; }
lacking() { printf 'error: %s\n' "$*" >&2; exit 3; }
have() { command -v "$1" >/dev/null 2>&1; }

# The opening comment of a script is its help.
usage() { sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$0"; }
help_if_asked() {
    case ${1:-} in -h | --help) usage; exit 0 ;; esac
}
wrong_usage() { usage >&2; exit 2; }

# cargo, npm and pip look for their caches under HOME, which a bare environment lacks.
ensure_home() {
    if [ -z "${HOME:-}" ]; then
        HOME=$(getent passwd "$(id -u)" | cut -d: -f6)
        export HOME
    fi
    # Node.js trusts its own list only; the machine's may name a registry mirror's authority too.
    if [ -z "${NODE_EXTRA_CA_CERTS:-}" ] && [ -s /etc/ssl/certs/ca-certificates.crt ]; then
        export NODE_EXTRA_CA_CERTS=/etc/ssl/certs/ca-certificates.crt
    fi
    if ! have cargo && [ -x "$HOME/.cargo/bin/cargo" ]; then
        export PATH="$HOME/.cargo/bin:$PATH"
    fi
}

need_cargo() {
    have cargo || lacking "cargo is not on the PATH: install Rust 1.94 or newer (https://rustup.rs) and run this again"
}

# The newest PostgreSQL server on this machine, or nothing. Debian keeps the programs off the PATH.
postgres_bin() {
    local bin found
    found=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
    for bin in "$found" "$(dirname "$(command -v initdb || echo /nowhere/initdb)")"; do
        if [ -x "$bin/initdb" ] && [ -x "$bin/pg_ctl" ] && [ -x "$bin/psql" ]; then
            echo "$bin"
            return
        fi
    done
}

# The first port from $1 upwards on which nothing listens at 127.0.0.1.
free_port() {
    local port=$1
    while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
    echo "$port"
}

# A Python environment $1 holding exactly what requirements file $2 pins; rebuilt when that file changes.
python_env() {
    local venv=$1 requirements=$2 stamp
    stamp=$(sha256sum <"$requirements")
    if [ -x "$venv/bin/python" ] && [ "$(cat "$venv/.stamp" 2>/dev/null)" = "$stamp" ]; then return; fi
    say "python packages of ${requirements#"$ROOT/"}"
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$requirements"
    echo "$stamp" >"$venv/.stamp"
}

# shellcheck shell=bash
# Shared by the scripts in this folder. Sourced, never run.

repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
standins=${WALKAWAY_STANDINS:-$repository/.standins}
export WALKAWAY_STANDINS=$standins

say() { printf '== %s\n' "$*"; }
fail() {
    printf 'error: %s\n' "$1" >&2
    if [ $# -gt 1 ]; then printf 'hint: %s\n' "$2" >&2; fi
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# Runs a command with its output in a file, and shows that only when the command fails.
quietly() {
    local log
    log=$(mktemp)
    if ! "$@" >"$log" 2>&1; then
        cat "$log" >&2
        rm -f "$log"
        return 1
    fi
    rm -f "$log"
}

# --- PostgreSQL -------------------------------------------------------------------------------------------------------

# The folder with the server programs, searched like walkaway does: PATH, then the newest of the distribution, and at
# last the stand-in that setup installs where packages can't be installed.
postgres_home() {
    local home initdb
    if initdb=$(command -v initdb); then
        dirname "$(readlink -f "$initdb")"
        return
    fi
    home=$(printf '%s\n' /usr/lib/postgresql/*/bin | sort -V | tail -n 1)
    if [ ! -x "$home/initdb" ]; then home=$(embedded_postgres_home); fi
    if [ -x "$home/initdb" ]; then printf '%s\n' "$home"; else return 1; fi
}

embedded_postgres_home() {
    printf '%s\n' "$standins"/lib/python3*/site-packages/embedded_postgres/pginstall/bin | head -n 1
}

# Puts the stand-in's programs on PATH when there are no others: walkaway does not search for them.
use_embedded_postgres() {
    local home
    home=$(postgres_home) || return 0
    case $home in "$standins"/*) export PATH="$home:$PATH" ;; esac
}

# --- building ---------------------------------------------------------------------------------------------------------

# The path of the binary that `cargo build` creates, also where CARGO_TARGET_DIR or a cargo configuration moves it.
built_binary() {
    local target
    target=$(cd "$repository" && cargo metadata --format-version 1 --no-deps --locked |
        "$standins/bin/python" -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
    printf '%s\n' "$target/$1/walkaway"
}

# --- places -----------------------------------------------------------------------------------------------------------

# A new temporary directory that others may enter: as root, PostgreSQL runs as another user.
open_temporary_directory() {
    local directory
    directory=$(mktemp -d "${TMPDIR:-/tmp}/walkaway-$1.XXXXXX")
    chmod 755 "$directory"
    printf '%s\n' "$directory"
}

# Whether every user may enter the directory and all those above it.
is_open_to_all() {
    local directory=$1
    while [ "$directory" != / ]; do
        case $(stat -L -c %A "$directory") in *[xt]) ;; *) return 1 ;; esac
        directory=$(dirname "$directory")
    done
}

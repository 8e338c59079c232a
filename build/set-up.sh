# What both set-up scripts begin with; sourced by them, in the project's folder.

fail() {
    printf 'headrace: %s\n' "$1" >&2
    exit 1
}

# Whoever is second waits. Children keep the lock: a pip that outlives a killed make is waited for.
lock() {
    exec 9>.venv.lock
    if ! flock --nonblock 9; then
        echo "→ another set-up is at work; waiting" >&2
        flock 9
    fi
}

# settings that would send packages elsewhere
unset PIP_USER PIP_TARGET PIP_PREFIX PIP_ROOT PYTHONHOME PYTHONPATH
export PIP_DISABLE_PIP_VERSION_CHECK=1

# What an interrupted Python says is no help; what it leaves lies in .venv.
trap 'printf "\nheadrace: set-up interrupted; run it again to go on\n" >&2; exit 130' INT
export TMPDIR=$PWD/.venv/tmp
errors=$TMPDIR/errors

"""Are this Python and this place fit for the platform? Also a script, for when there is no virtual environment.

Standard library only. `python interpreter.py` prints the version and the real path, or one line that says
what is wrong, and then exits with 1.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
import re
import sys
import sysconfig
from pathlib import Path

OLDEST = (3, 11)
NEWEST = (3, 12)
GLIBC = (2, 35)
_PROJECT = Path(__file__).resolve().parents[2]
# Of a library path, which knows no escapes, and of what shells and scripts expand even in quotes.
_UNUSABLE = re.compile(r"""[:;"$`\\\x00-\x1f]""")


def libpython() -> Path | None:
    """The running interpreter's shared library, which Triton's Python stub links to; None without one."""
    name = sysconfig.get_config_var("INSTSONAME") or ""
    if ".so" not in name:
        return None
    folder = Path(sysconfig.get_config_var("LIBDIR") or "/usr/lib")
    multiarch = sysconfig.get_config_var("MULTIARCH") or ""
    places = [folder, folder / multiarch, Path("/usr/lib") / multiarch, Path(sys.base_prefix) / "lib"]
    return next((place / name for place in places if (place / name).is_file()), None)


def problem() -> str | None:
    """One line that names what is wrong with this interpreter, machine or place and what to do; None when fit."""
    places = {"this project lies in": _PROJECT, "HEADRACE_HOME is": Path(os.environ.get("HEADRACE_HOME", "."))}
    for what, place in places.items():
        if unusable := _UNUSABLE.search(str(place)):
            return f"{what} {str(place)!r}: nothing runs below a path with {unusable[0]!r}; use another folder"
    version = ".".join(map(str, sys.version_info[:3]))
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        age = "old" if sys.version_info[:2] < OLDEST else "new"
        return (
            f"{sys.executable} is Python {version}, which is too {age}: Headrace needs 3.11 or 3.12; "
            "try `make setup PYTHON=python3.12`"
        )
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return (
            f"this machine is {platform.system()} {platform.machine()}: the Triton build that set-up fetches "
            "is for Linux x86_64 only"
        )
    glibc = _glibc()
    if glibc < GLIBC:
        found = ".".join(map(str, glibc)) if glibc else "another C library"
        return f"this machine has {found}: Triton needs glibc 2.35 or newer (Debian 12, Ubuntu 22.04)"
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    if any(importlib.util.find_spec(name) is None for name in ("venv", "ensurepip")):
        return f"{sys.executable} has no venv module; on Debian: `apt-get install python{minor}-venv`"
    if libpython() is None:
        return (
            f"{sys.executable} has no shared libpython{minor}.so.1.0, which Triton's Python stub needs; "
            f"on Debian: `apt-get install libpython{minor}`; "
            f"with pyenv: `PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install {minor}`"
        )
    return None


def _glibc() -> tuple[int, ...]:
    try:
        version = ctypes.CDLL(None).gnu_get_libc_version
    except (AttributeError, OSError):
        return ()
    version.restype = ctypes.c_char_p
    return tuple(int(number) for number in version().decode().split(".")[:2])


if __name__ == "__main__":
    if wrong := problem():
        sys.exit(f"headrace: {wrong}")
    print(platform.python_version(), Path(sys.executable).resolve(), libpython())

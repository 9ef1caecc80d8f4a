# -*- coding: utf-8 -*-
"""Makes .venv and installs the requirements when they changed: `python3 tools/bootstrap.py [--dev]`.

Standard library only, and written so that an old Python can read it far enough to say that it is too old.
"""

import sys

OLDEST = (3, 11)
STAMPS = {False: "installed", True: "installed-dev"}  # in .venv: what it holds, without and with --dev
NEWER = ("python3.14", "python3.13", "python3.12", "python3.11")


def main(arguments):
    """Exit status 0 when .venv is ready; else one sentence on stderr and 1."""
    if sys.version_info < OLDEST:
        return use_newer(arguments)
    try:
        with lock():
            prepare("--dev" in arguments)
    except Refused as refused:
        sys.stderr.write("%s\n" % refused)
        return 1
    return 0


class Refused(Exception):
    """The text is the sentence that the user reads."""


def use_newer(arguments):
    import os
    import shutil
    import subprocess

    check = "import sys; sys.exit(sys.version_info < (3, 11))"
    for name in NEWER if sys.version_info >= (3, 3) else ():
        path = shutil.which(name)
        if path and subprocess.call([path, "-c", check], stderr=subprocess.DEVNULL) == 0:
            os.execv(path, [path, os.path.abspath(__file__)] + list(arguments))
    sys.stderr.write(
        "Selfheal needs Python 3.11 or newer, but %s is Python %d.%d; install a newer one, or name one with "
        "`make PYTHON=/path/to/python3.11 …`.\n" % ((sys.executable,) + tuple(sys.version_info[:2]))
    )
    return 1


def project():
    from pathlib import Path

    return Path(__file__).resolve().parent.parent


def lock():
    """One bootstrap at a time; the lock is on this file itself."""
    import contextlib
    import fcntl

    @contextlib.contextmanager
    def locked():
        with open(__file__) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    return locked()


def prepare(dev):
    """Bring .venv to what the requirement files ask; nothing is started when nothing has changed."""
    folder = project() / ".venv"
    files = ["requirements.txt"] + (["requirements-dev.txt"] if dev else [])
    usable = works(folder)
    if usable and read(folder / STAMPS[dev]) == digest(files):
        return
    if not usable:
        make_venv(folder)
    install(folder, files)
    (folder / STAMPS[False]).write_text(digest(files[:1]))
    (folder / STAMPS[dev]).write_text(digest(files))


def read(path):
    return path.read_text() if path.exists() else ""


def digest(names):
    import hashlib

    content = b"".join((project() / name).read_bytes() for name in names + ["constraints.txt"])
    return "%d.%d %s" % (sys.version_info[:2] + (hashlib.sha256(content).hexdigest(),))


def works(folder):
    """True when .venv was made here by a Python that is still there and new enough."""
    import subprocess

    python = folder / "bin" / "python"
    check = "import sys; print(sys.prefix); sys.exit(sys.version_info[:2] != %r)" % (
        tuple(sys.version_info[:2]),
    )
    try:
        done = subprocess.run([str(python), "-c", check], capture_output=True, text=True, check=False)
    except OSError:
        return False
    config = folder / "pyvenv.cfg"
    return done.returncode == 0 and done.stdout.strip() == str(folder) and config.exists() and has_pip(folder)


def has_pip(folder):
    return any(folder.glob("lib/python3*/site-packages/pip"))


def make_venv(folder):
    import importlib.util
    import subprocess

    missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
    if missing:
        raise Refused(
            "%s has no module %s, which making .venv needs; install it (Debian, Ubuntu: apt-get install "
            "python3-venv) or use another Python with `make PYTHON=…`." % (sys.executable, missing[0])
        )
    done = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(folder)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Refused(
            "The environment %s could not be made: %s" % (folder, reason(done.stdout + done.stderr))
        )


def install(folder, files):
    import subprocess

    sys.stdout.write(
        "Installing the dependencies into %s (about half a minute, only when they changed) …\n" % folder
    )
    sys.stdout.flush()
    command = [
        str(folder / "bin" / "python"),
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-input",
    ]
    command += ["--quiet", "--retries", "5", "--constraint", "constraints.txt"]
    for name in files:
        command += ["--requirement", name]
    done = subprocess.run(command, cwd=str(project()), capture_output=True, text=True, check=False)
    if done.returncode:
        log = folder / "pip.log"
        log.write_text(done.stdout + done.stderr)
        raise Refused(
            "pip could not install the dependencies: %s (all of its output is in %s; a proxy or mirror is set with "
            "PIP_INDEX_URL or HTTPS_PROXY)." % (reason(done.stdout + done.stderr), log)
        )


def reason(text):
    """The line that says what went wrong: the first error, else the last line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if line.lower().startswith("error")]
    return errors[0] if errors else (lines or ["no output"])[-1]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

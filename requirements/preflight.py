"""Looks whether this machine can do what `make run` is about to do.

Runs before anything is installed, on whatever Python there is, so it needs nothing and stays within the
syntax of old versions. Each problem is one line with its fix; all of them are told at once.
"""

import argparse
import importlib.util
import os
import shutil
import socket
import sys

MB = 1000 * 1000
PACKAGES_MB = 211
MODELS_MB = 233
INSTALLED_MB = 700


def main():
    """Print every problem and exit with 2, or say what comes next."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--installed", default="", help="file that is there once everything is installed")
    parser.add_argument("--models", default="", help="folder of the model files")
    parser.add_argument("--port", default="", help="port that must be free")
    arguments = parser.parse_args()
    fresh = not os.path.exists(arguments.installed)
    problems = python_problems() if fresh else []
    problems += disk_problems(INSTALLED_MB + 2 * MODELS_MB) if fresh else []
    problems += port_problems(arguments.port) if arguments.port else []
    for problem in problems:
        sys.stderr.write("preflight: %s\n" % problem)
    if problems:
        sys.exit(2)
    if fresh:
        announce(bool(arguments.models) and not has_models(arguments.models))


def python_problems():
    """Whether this Python is new enough and can make a virtual environment."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info < (3, 11):
        fix = "Install Python 3.11 or newer, then: make run PYTHON=python3.11"
        return ["Python %s at %s is too old. %s" % (version, sys.executable, fix)]
    missing = [name for name in ("venv", "ensurepip") if importlib.util.find_spec(name) is None]
    if missing:
        package = "python%d.%d-venv" % sys.version_info[:2]
        fix = "Debian and Ubuntu have it in a package of its own: sudo apt-get install %s" % package
        return ["Python %s lacks %s. %s" % (version, " and ".join(missing), fix)]
    return []


def disk_problems(needed_mb):
    """Whether the disk that holds this folder has room."""
    free_mb = shutil.disk_usage(os.getcwd()).free // MB
    if free_mb >= needed_mb:
        return []
    fix = "Free some, or clone into a folder on a larger disk."
    return ["%d MB of disk are free here, %d MB are needed. %s" % (free_mb, needed_mb, fix)]


def port_problems(port):
    """Whether the port can be listened on."""
    if not port.isdigit() or int(port) > 65535:
        return ["PORT is %r. Give a number from 1 to 65535: make run PORT=8000" % port]
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", int(port)))
    except OSError as error:
        fix = "Stop what uses it, or take another: make run PORT=%d" % (int(port) % 65535 + 1)
        return ["Port %s cannot be listened on: %s. %s" % (port, error.strerror, fix)]
    finally:
        listener.close()
    return []


def has_models(folder):
    """Whether anything was fetched into the folder of the models."""
    return os.path.isdir(folder) and bool(os.listdir(folder))


def announce(with_models):
    """Say what will be downloaded, and where it goes."""
    models = " and about %d MB of models into .models" % MODELS_MB if with_models else ""
    print("Downloading about %d MB of packages into .venv%s." % (PACKAGES_MB, models))
    print("Nothing is compiled. Ctrl-C is safe at any time: the next start goes on from there.")
    sys.stdout.flush()


if __name__ == "__main__":
    main()

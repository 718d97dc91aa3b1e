"""The port to listen on, taken before anything is loaded, so that a taken one is told at once."""

from __future__ import annotations

import errno
import socket

from jackfield.errors import ConfigError, Problem


def bind(host: str, port: int) -> socket.socket:
    """Take a port without listening on it yet; 0 takes any free one.

    :raises ConfigError: when it is taken, not allowed, or the address is not this machine's.
    """
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        message = f'"{host}" is not an address: {error.strerror}.'
        raise ConfigError([Problem("server.host", message, "Use 127.0.0.1 or 0.0.0.0.")]) from error
    family, kind, protocol, _, address = found[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise busy_port(host, port, error) from error
    listener.set_inheritable(False)
    return listener


def busy_port(host: str, port: int, error: OSError) -> ConfigError:
    """What to say when a port cannot be had."""
    if error.errno == errno.EADDRINUSE:
        message = f"Port {port} of {host} is in use."
        fix = f"Stop what uses it, or take another: PORT={port + 1 if port < 65535 else 8000}."
        return ConfigError([Problem("server.port", message, fix)])
    if error.errno == errno.EACCES:
        message = f"Port {port} needs privileges."
        return ConfigError([Problem("server.port", message, "Take one above 1023.")])
    message = f"Nothing can listen on {host}: {error.strerror}."
    return ConfigError([Problem("server.host", message, "Use an address of this machine.")])

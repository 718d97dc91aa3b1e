"""llama.cpp's own HTTP server, which has OpenAI's interface, with a small model, in a process of its own.

That process is this file as a program: python llama_server.py MODEL_FILE API_KEY
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from jackfield.models import locate


@contextmanager
def llama_server(model: str, key: str) -> Iterator[str]:
    """Serve a model of the catalogue to whoever has the key; gives the address."""
    command = [sys.executable, __file__, str(locate(model)), key]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()
            process.wait(20)


def main() -> None:
    """Print the address, and serve until standard input ends."""
    import xllamacpp  # type: ignore[import-untyped]  # it comes without annotations

    parameters = xllamacpp.CommonParams()
    parameters.model.path = sys.argv[1]
    parameters.api_keys = [sys.argv[2]]
    parameters.hostnames = ["127.0.0.1"]
    parameters.port = 0
    parameters.n_ctx, parameters.n_parallel = 8192, 4
    parameters.cpuparams.n_threads = parameters.cpuparams_batch.n_threads = 1
    parameters.cache_ram_mib = 0
    parameters.verbosity = 0
    parameters.warmup = parameters.ui = False
    server = xllamacpp.Server(parameters)
    print(server.listening_address, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()

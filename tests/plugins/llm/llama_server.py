"""llama.cpp's own HTTP server with a small model, in a process of its own: prints its address and waits.

python llama_server.py MODEL_FILE API_KEY
"""

from __future__ import annotations

import sys

import xllamacpp  # type: ignore[import-untyped]  # it comes without annotations


def main() -> None:
    """Serve until standard input ends."""
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

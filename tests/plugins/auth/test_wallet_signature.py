"""What reading signatures brings into the process."""

from __future__ import annotations

import subprocess
import sys

NESTED = """
import json, sys
before = sys.getrecursionlimit()
import jackfield_auth_wallet.signature
assert sys.getrecursionlimit() == before, sys.getrecursionlimit()
try:
    json.loads("[" * 100_000)
except RecursionError:
    print("still there")
"""


def test_nested_json_still_ends_a_parser_and_not_the_process() -> None:
    run = subprocess.run([sys.executable, "-c", NESTED], capture_output=True, text=True, check=False)

    assert (run.returncode, run.stdout) == (0, "still there\n"), run.stderr

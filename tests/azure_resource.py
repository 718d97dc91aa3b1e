"""A resource of Azure OpenAI on this machine: it answers with the name of the deployment that is asked."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@contextmanager
def azure_openai(asked: list[tuple[str, str | None]]) -> Iterator[str]:
    """Give its address; `asked` gets path and key of each request."""

    class Resource(BaseHTTPRequestHandler):
        def do_POST(self) -> None:  # the library calls it so
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, self.headers["api-key"]))
            found = re.search(r"/deployments/([^/]+)/", self.path)
            name = found[1] if found else body["model"]
            piece = {"choices": [{"index": 0, "delta": {"content": name}, "finish_reason": "stop"}]}
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.end_headers()
            self.wfile.write(f"data: {json.dumps(piece)}\n\ndata: [DONE]\n\n".encode())

        def log_message(self, *_arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Resource) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()

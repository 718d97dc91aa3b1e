"""The conformance suite of transports. What a door says on the wire is the business of its contract."""

from __future__ import annotations

from jackfield.contracts.panel import Panel
from jackfield.contracts.transport import Transport
from jackfield.testing.suite import Suite


class TransportSuite(Suite):
    """Subclass it and define the fixtures `transport` and `panel`."""

    def test_it_gives_routes(self, transport: Transport, panel: Panel) -> None:
        assert self._routes(transport, panel), "A transport without routes lets nobody in."

    def test_paths_begin_with_a_slash_and_leave_the_mount_to_the_server(
        self, transport: Transport, panel: Panel
    ) -> None:
        for path, _methods in self._routes(transport, panel):
            assert path.startswith("/")
            assert not path.endswith("/") or path == "/"

    def test_no_two_routes_are_the_same(self, transport: Transport, panel: Panel) -> None:
        routes = self._routes(transport, panel)
        assert len(set(routes)) == len(routes)

    def test_it_leaves_health_and_metrics_to_the_server(self, transport: Transport, panel: Panel) -> None:
        paths = {path for path, _methods in self._routes(transport, panel)}
        assert paths.isdisjoint({"/health", "/metrics"})

    def _routes(self, transport: Transport, panel: Panel) -> list[tuple[str, tuple[str, ...]]]:
        return [
            (getattr(route, "path", ""), tuple(sorted(getattr(route, "methods", None) or ("websocket",))))
            for route in transport.routes(panel).routes
        ]

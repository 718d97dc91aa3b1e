"""What users are answered while the backend is away."""

from __future__ import annotations

from contextlib import aclosing

from jackfield import ProtocolError, Site
from jackfield.contracts.panel import Panel
from jackfield.contracts.turn import TurnRequest
from jackfield.errors import ConfigError, Problem
from jackfield_transport_smart_proxy.answers import SOURCE_HEADER, Answer
from jackfield_transport_smart_proxy.asked import Asked
from jackfield_transport_smart_proxy.clips import ROUTE
from jackfield_transport_smart_proxy.options import FallbackOptions


class Fallback:
    """Answers with a text that is always the same, with this server's own assistant, or not at all."""

    def __init__(self, panel: Panel, options: FallbackOptions, site: Site) -> None:
        self._panel = panel
        self._options = options
        self._site = site
        if options.llm is not None and options.llm not in panel.models:
            section = f"{site.section}.options.fallback.llm"
            message = f"There is no language model {options.llm!r}."
            raise ConfigError([Problem(section, message, f"Add [llm.named.{options.llm}].")])

    @property
    def serves(self) -> bool:
        """Whether there is one."""
        return self._options.use != "none"

    async def answer(self, asked: Asked) -> Answer:
        """Answer a message.

        :raises ProtocolError: 503 `backend_unavailable` without a fallback; else as the assistant does.
        """
        if not self.serves:
            detail = "The assistant is not available right now."
            headers = {SOURCE_HEADER: "fallback"}
            raise ProtocolError(503, "backend_unavailable", detail, headers=headers)
        if self._options.use == "text":
            return Answer(self._options.text, "text", "fallback")
        if asked.form.type == "voice":
            return await self._say(asked)
        async with aclosing(self._panel.assistant.reply(self._turn(asked))) as outputs:
            pieces = [output async for output in outputs if isinstance(output, str)]
        return Answer("".join(pieces).strip(), "text", "fallback")

    async def _say(self, asked: Asked) -> Answer:
        answer = await self._panel.assistant.reply_to_clip(self._turn(asked), asked.form.upload())
        if answer.clip is None:
            return Answer(answer.text, "text", "fallback", degraded=True)
        url = self._panel.clips.url(answer.clip, f"{self._site.mount}{ROUTE}")
        return Answer(answer.text, "voice", "fallback", url)

    def _turn(self, asked: Asked) -> TurnRequest:
        form = asked.form
        return TurnRequest(
            conversation=asked.conversation,
            text=form.text if form.type == "text" else "",
            transport=self._site.plugin,
            message_type=form.type,
            username=form.username,
            llm=self._options.llm,
        )

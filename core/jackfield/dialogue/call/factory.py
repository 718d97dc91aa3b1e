"""Puts a call together from the providers that it names."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TypeVar

from jackfield.assembly import Assembly, Built, Providers
from jackfield.config.sections import ChainedSection
from jackfield.contracts.call import CallLeg, CallRequest
from jackfield.contracts.extension import Event, ProviderFailed
from jackfield.contracts.failover import Failover
from jackfield.contracts.panel import Metrics
from jackfield.contracts.realtime import Realtime
from jackfield.contracts.stt import STT, TranscriptionSettings
from jackfield.contracts.tts import TTS
from jackfield.dialogue.audio_figures import AudioFigures
from jackfield.dialogue.call.call import CallPart, LiveCall
from jackfield.dialogue.call.cascade import Cascade
from jackfield.dialogue.call.companion import Companion
from jackfield.dialogue.call.deaf import Deaf
from jackfield.dialogue.call.ear import Ear
from jackfield.dialogue.call.far_leg import FarLeg
from jackfield.dialogue.call.floor import Floor
from jackfield.dialogue.call.hearing import EarListener
from jackfield.dialogue.call.model_check import check_model
from jackfield.dialogue.call.model_figures import ModelFigures
from jackfield.dialogue.call.model_means import ModelMeans
from jackfield.dialogue.call.open_ear import OpenEar
from jackfield.dialogue.call.phrases import Phrases
from jackfield.dialogue.call.recognition import Recognition, RecognitionListener
from jackfield.dialogue.call.repertoire import Repertoire
from jackfield.dialogue.call.reply import Means
from jackfield.dialogue.call.responder import Host
from jackfield.dialogue.call.speech_model import SpeechModel
from jackfield.dialogue.call.windows import SpeechWindows
from jackfield.dialogue.failures import report
from jackfield.dialogue.order import TurnOrder
from jackfield.dialogue.scenarios import ScenarioTable
from jackfield.dialogue.sessions import SessionService
from jackfield.dialogue.tools import Toolbox
from jackfield.dialogue.turn import TurnRunner
from jackfield.errors import FieldError, ProtocolError, ProviderError

T = TypeVar("T")


class CallFactory:
    """Makes calls. What they share (phrases, the detector of speech, the running of turns) is made once."""

    def __init__(
        self,
        assembly: Assembly,
        *,
        sessions: SessionService,
        scenarios: ScenarioTable,
        order: TurnOrder,
        metrics: Metrics,
        publish: Callable[[Event], None],
    ) -> None:
        if any(assembly.tts):
            import jackfield.dialogue.pieces  # noqa: F401  # so that the first answer need not wait for it
        config = assembly.config
        self._assembly = assembly
        self._settings = config.call
        self._sessions = sessions
        self._scenarios = scenarios
        self._order = order
        self._publish = publish
        own = {name: getattr(config.call, name) for name in ("llm_first_seconds", "failover_seconds")}
        timeouts = config.timeouts.model_copy(update=own)
        self._runner = TurnRunner(assembly, sessions, metrics, publish, timeouts=timeouts)
        self._figures = AudioFigures(metrics)
        self._model_figures = ModelFigures(metrics)
        self._toolbox = Toolbox(assembly.tools, config.timeouts.tool_seconds)
        self._phrases = Phrases(
            first_s=config.call.tts_seconds,
            failover_s=config.call.failover_seconds,
            publish=publish,
            used=self._figures.used,
        )
        self._windows = SpeechWindows(assembly.vad.object) if assembly.vad is not None else None
        self._interruptions = metrics.counter(
            "jackfield_call_interruptions_total", "Answers that the user interrupted.", ["transport"]
        )

    def make(self, request: CallRequest, leg: CallLeg) -> LiveCall:
        """Put a call together; raises as `contracts.call.Calls.open` does."""
        name = secrets.token_hex(8)
        if self._is_with_model(request):
            part = self._model_part(request, leg, name)
        else:
            part = self._cascade_part(request, leg, name, Floor(leg, speaks=request.speaks))
        return self._live_call(request, name, part)

    def make_forwarded(self, request: CallRequest) -> tuple[LiveCall, SpeechModel]:
        """Put a call together whose sound goes past the server; gives what talks in it, too.

        :raises ProtocolError: 404 `scenario_not_found`.
        """
        name, leg, made = secrets.token_hex(8), FarLeg(), list[SpeechModel]()
        means = self._model_means(request, Floor(leg), name, replaced=False)

        def respond(host: Host) -> SpeechModel:
            made.append(SpeechModel(host, leg, request, means))
            return made[0]

        call = self._live_call(request, name, CallPart(partial(OpenEar, request.rate_hz), respond))
        return call, made[0]

    def _live_call(self, request: CallRequest, name: str, part: CallPart) -> LiveCall:
        return LiveCall(
            request,
            name=name,
            session=self._sessions.key(request.conversation),
            settings=self._settings,
            part=part,
            publish=self._publish,
        )

    async def check(self, request: CallRequest) -> None:
        """Ask a speech-to-speech model that nothing stands in for; raises as `contracts.call.Calls.check`."""
        if not self._is_with_model(request):
            return
        model = self._model(request)
        if not self._ends_in_cascade(request):
            settings = self._settings
            open_s, failover_s = settings.llm_first_seconds, settings.failover_seconds
            await check_model(model, open_s=open_s, failover_s=failover_s, publish=self._publish)

    def _is_with_model(self, request: CallRequest) -> bool:
        named = "realtime" if request.realtime else None
        return (request.pipeline or named or self._settings.pipeline) == "realtime"

    def _model(self, request: CallRequest) -> Built[Realtime]:
        return _provider(self._assembly.realtime, request.realtime, "realtime", "speech-to-speech model")

    def _cascade_part(self, request: CallRequest, leg: CallLeg, name: str, floor: Floor) -> CallPart:
        """What listens and answers with a recogniser, a language model and a voice."""
        stt = _provider(self._assembly.stt, request.stt, "stt", "recogniser") if request.listens else None
        tts = _provider(self._assembly.tts, request.tts, "tts", "voice") if request.speaks else None
        detects = request.listens and request.turns == "auto"
        windows = self._windows if detects else None
        if detects and windows is None:
            raise ProtocolError(422, "voice_not_configured", "This server cannot tell when somebody speaks.")
        means = self._means(request, floor, tts, name)
        repertoire = Repertoire(request, means, self._scenarios, self._assembly.llm)

        def hear(listener: EarListener) -> Ear:
            return Ear(rate_hz=request.rate_hz, detector=windows, settings=self._settings, listener=listener)

        return CallPart(hear, partial(self._cascade, request, leg, stt, repertoire, self._publisher(name)))

    def _model_part(self, request: CallRequest, leg: CallLeg, name: str) -> CallPart:
        """What listens and answers with a speech-to-speech model."""
        floor = Floor(leg, speaks=request.speaks)
        stand_in = self._cascade_part(request, leg, name, floor) if self._ends_in_cascade(request) else None
        means = self._model_means(request, floor, name, replaced=stand_in is not None)
        self._scenarios.part(request.scenario)  # raises where there is none, before the call begins
        ear = partial(OpenEar, request.rate_hz)
        return CallPart(ear, lambda host: SpeechModel(host, leg, request, means), stand_in)

    def _model_means(self, request: CallRequest, floor: Floor, name: str, *, replaced: bool) -> ModelMeans:
        model = self._model(request)
        failover_s, members = self._settings.failover_seconds, model.members or (model,)
        return ModelMeans(
            model=model,
            means=self._means(request, floor, self._apologising(request), name),
            scenarios=self._scenarios,
            toolbox=self._toolbox,
            figures=self._model_figures,
            open_s=failover_s * len(members) if replaced else self._settings.llm_first_seconds,
            failover_s=failover_s,
            replaced=replaced,
            publish=self._publisher(name),
            report_interruption=partial(self._interruptions.inc, request.transport),
        )

    def _apologising(self, request: CallRequest) -> Built[TTS] | None:
        """The voice that says sorry for a model, where there is one."""
        return self._assembly.tts.get(request.tts) if request.speaks else None

    def _publisher(self, call: str) -> Callable[[Event], None]:
        """What tells of failures of a call's ears, which belong to none of its turns."""

        def publish(event: Event) -> None:
            self._publish(replace(event, call=call) if isinstance(event, ProviderFailed) else event)

        return publish

    def _ends_in_cascade(self, request: CallRequest) -> bool:
        section = self._assembly.config.realtime
        chain: ChainedSection | None = section
        if section is not None and request.realtime is not None:
            named = section.named.items()
            chain = next((each for name, each in named if request.realtime in (name, *each.aliases)), None)
        return chain is not None and chain.ends_in_cascade("realtime")

    def _means(self, request: CallRequest, floor: Floor, tts: Built[TTS] | None, call: str) -> Means:
        return Means(
            tts=tts,
            phrases=self._phrases,
            floor=floor,
            runner=self._runner,
            order=self._order,
            sessions=self._sessions,
            tts_s=self._settings.tts_seconds,
            failover_s=self._settings.failover_seconds,
            ahead_s=self._settings.ahead_seconds,
            apology=self._settings.apology,
            language=request.language or self._assembly.config.assistant.language,
            publish=self._publish,
            companion=Companion(),
            call=call,
            used=self._figures.used,
        )

    def _cascade(
        self,
        request: CallRequest,
        leg: CallLeg,
        stt: Built[STT] | None,
        repertoire: Repertoire,
        publish: Callable[[Event], None],
        host: Host,
    ) -> Cascade:
        settings = self._settings
        language = request.language or self._assembly.config.assistant.language

        def recognise(listener: RecognitionListener) -> Recognition | Deaf:
            if stt is None:
                return Deaf()
            failover = Failover(settings.failover_seconds)
            transcription = TranscriptionSettings(language, gated=request.turns == "auto", failover=failover)
            return Recognition(
                stt,
                transcription,
                limit_s=settings.stt_seconds,
                listener=listener,
                publish=publish,
                used=self._figures.used,
            )

        return Cascade(
            host,
            leg,
            recognise,
            repertoire,
            settings,
            report_interruption=partial(self._interruptions.inc, request.transport),
            report_detector=partial(self._detector_failed, publish),
        )

    def _detector_failed(self, publish: Callable[[Event], None], error: ProviderError) -> None:
        if self._assembly.vad is not None:
            report(self._assembly.vad, error, publish)


def _provider(providers: Providers[T], name: str | None, field: str, what: str) -> Built[T]:
    """The default provider, or the named one.

    :raises ProtocolError: when there is none.
    """
    found = providers.get(name)
    if found is not None:
        return found
    if name is None:
        raise ProtocolError(422, "voice_not_configured", f"This server has no {what}.")
    detail = f"There is no such {what}."
    raise ProtocolError(422, "invalid_request", detail, (FieldError(field, "invalid_choice", detail),))

"""Fuzzing calls of browsers: offers that are broken, and what is said over the data channel of a good one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from random import Random
from typing import Any, Final

import anyio
import httpx
from anyio import to_thread

from soak.fuzz.findings import Findings
from soak.fuzz.house import PREFIX, House
from soak.fuzz.mutation import ODD, garbled
from soak.fuzz.wire import TEXT
from tests.transports.browser import Browser

_MOUNTS: Final = ("/speech", "/speech-people")
_AT_ONCE: Final = 2
_SLOW_S: Final = 10.0
_CALL_S: Final = 30.0
_MOST_BYTES: Final = 80_000
"""More than a call takes, and less than a channel carries, replacements of bad bytes and all."""
_MANY: Final = 20
"""Commands between two good ones: fifty bad ones in a row end a call."""
_ADDRESS: Final = re.compile(r"(?<= udp \d{10} )\S+")
_NUMBER: Final = re.compile(r"\d+")
_WORDS: Final = [each for each in ODD if isinstance(each, str) and each.isprintable()]
_LINES: Final = (
    "m=",
    "m=audio",
    "m=audio 0 RTP/AVP 0",
    "m=audio x UDP/TLS/RTP/SAVPF y",
    "m=audio 9 UDP/TLS/RTP/SAVPF 0 8 111",
    "m=video 9 UDP/TLS/RTP/SAVPF 96",
    "m=application 9 UDP/DTLS/SCTP x",
    "m=application 9 DTLS/SCTP 5000",
    "a=group:BUNDLE 7 8 9",
    "a=group:",
    "a=mid:0",
    "a=mid:",
    "a=fingerprint:sha-256 00",
    "a=fingerprint:md5 00:11",
    "a=fingerprint:",
    "a=setup:nobody",
    "a=setup:passive",
    "a=setup:holdconn",
    "a=rtpmap:x y",
    "a=rtpmap:96 opus/0/0",
    "a=rtpmap:96 opus/48000/99",
    "a=rtpmap:0 PCMU/8000/1e9",
    "a=fmtp:96 =;;=",
    "a=fmtp:96 minptime=x;useinbandfec",
    "a=ptime:0",
    "a=maxptime:-1",
    "a=ssrc:x cname:y",
    "a=ssrc:99999999999 cname:y",
    "a=ssrc-group:FID",
    "a=ssrc-group:FID 1 2 3 x",
    "a=extmap:-1 urn:ietf:params:rtp-hdrext:sdes:mid",
    "a=extmap:x y",
    "a=extmap:999999/sendonly urn:x",
    "a=rtcp:99999 IN IP4 127.0.0.1",
    "a=rtcp:x",
    "a=rtcp-fb:* nack pli",
    "a=rtcp-fb:x",
    "a=sctp-port:x",
    "a=sctp-port:99999",
    "a=sctpmap:5000 webrtc-datachannel x",
    "a=max-message-size:-1",
    "a=max-message-size:0",
    "a=candidate:x",
    "a=candidate:1 1 udp 1 127.0.0.1 9 typ",
    "a=candidate:1 1 udp x 127.0.0.1 9 typ host",
    "a=candidate:1 7 udp 1 127.0.0.1 9 typ nothing",
    "a=candidate:1 1 tcp 1 127.0.0.1 9 typ host tcptype active",
    "a=candidate:1 1 udp 1 127.0.0.1 99999 typ host",
    "a=candidate:1 1 udp 1 127.0.0.1 0 typ host",
    "a=candidate:1 1 udp 1 ::1 9 typ srflx raddr x rport y",
    "a=candidate:1 1 udp 1 nowhere.invalid 9 typ host",
    "a=ice-lite",
    "a=ice-ufrag:",
    "a=ice-pwd:",
    "a=ice-options:trickle",
    "a=inactive",
    "a=sendonly",
    "a=recvonly",
    "a=rtcp-mux",
    "a=msid:",
    "a=msid: x y z",
    "c=x",
    "c=IN IP6 ::1",
    "o=x",
    "s=",
    "t=x",
    "v=1",
    "b=AS:-1",
    "=",
    "a",
    "a=",
    "\x00",
    "a=" + "x" * 60_000,
)
_COMMANDS: Final[Sequence[dict[str, Any]]] = [
    {"type": "text", "text": "Hello"},
    {"type": "interrupt"},
    {"type": "mute", "on": False},
    {"type": "speech.start"},
    {"type": "speech.end"},
]


def fuzz_offers(house: House, seed: int, cases: range, findings: Findings) -> None:
    """Send broken offers; the same number of the same seed is the same offer."""

    def run(number: int) -> None:
        dice = Random(f"{seed}-{number}")
        mount = dice.choice(_MOUNTS)
        answer = _answered(house, mount, _broken(dice.choice(offers()), dice), findings)
        place = f"offer {number} of seed {seed} to {mount}"
        findings.counts[f"offers answered {answer.status_code}"] += 1
        if answer.status_code not in (200, 422):
            findings.wrong.append(f"{place}: {answer.status_code} {answer.text[:200]}")
        if answer.elapsed.total_seconds() > _SLOW_S:
            findings.wrong.append(f"{place}: took {answer.elapsed.total_seconds():.1f} s")

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(run, cases))


def fuzz_commands(house: House, seed: int, cases: range, findings: Findings) -> None:
    """Say over one call's data channel what nobody should, and hold a conversation after that."""
    anyio.run(partial(_talk, house, seed, cases, findings))


@cache
def offers() -> Sequence[str]:
    """Good offers, whose browsers are on this machine: with and without sound, events and candidates."""

    async def made() -> list[str]:
        found = []
        for microphone, channel, candidates in ((b"", True, True), (None, True, False), (b"", False, True)):
            async with Browser(microphone, channel=channel) as browser:
                found.append(_ADDRESS.sub("127.0.0.1", await browser.offer(candidates=candidates)))
        return found

    return anyio.run(made)


def _answered(house: House, mount: str, offer: str, findings: Findings) -> httpx.Response:
    """What an offer is answered with, in a session that is over then."""
    client, headers = house.client, house.headers(mount)
    session = house.session(mount)
    answer = client.post(f"{mount}/realtime/signal", json={**session, "sdp": offer}, headers=headers)
    over = client.delete(f"{mount}/realtime/session/{session['session_id']}", headers=headers)
    if over.status_code not in (204, 404):
        findings.wrong.append(f"the end of a session at {mount}: {over.status_code} {over.text[:200]}")
    return answer


async def _talk(house: House, seed: int, cases: range, findings: Findings) -> None:
    mount = _MOUNTS[0]
    async with (
        httpx.AsyncClient(base_url=house.url, timeout=_CALL_S) as client,
        Browser(channel=True) as browser,
    ):
        body = {**await to_thread.run_sync(house.session, mount), "sdp": await browser.offer()}
        answer = (await client.post(f"{mount}/realtime/signal", json=body)).raise_for_status()
        await browser.accept(answer.json()["sdp_answer"])
        try:
            with anyio.fail_after(_CALL_S):
                await _say_all(browser, seed, cases)
                await browser.say("text", text="All is well.")
                await browser.until(lambda: any(map(_is_well, browser.events)))
        except TimeoutError:
            findings.wrong.append(
                f"the call with commands {cases} of seed {seed} broke: {browser.events[-3:]}"
            )
        codes = [event["code"] for event in browser.events if event["type"] == "error"]
        findings.counts["errors told"] += len(codes)
        findings.wrong += [f"a call was told {code}" for code in codes if code.endswith("_failed")]


async def _say_all(browser: Browser, seed: int, cases: range) -> None:
    channel = browser.channel
    assert channel is not None
    await browser.until(lambda: channel.readyState == "open")
    for number in cases:
        dice = Random(f"{seed}-{number}")
        kind, data = garbled(dice.choice(_COMMANDS), dice)
        data = data[:_MOST_BYTES]
        channel.send(data.decode(errors="replace") if kind == TEXT else data)
        if number % _MANY == 0:
            await browser.say("mute", on=False)


def _is_well(event: Mapping[str, Any]) -> bool:
    """Whether the last text was answered, perhaps together with some from before."""
    text = event["text"] if event["type"] == "reply.finished" else ""
    return text.startswith(PREFIX) and text.endswith("All is well.")


def _broken(offer: str, dice: Random) -> str:
    lines = offer.split("\r\n")
    for _ in range(dice.choice((1, 1, 1, 2, 4, 12))):
        if lines:
            dice.choice(_DAMAGES)(lines, dice)
    return dice.choice(("\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r")).join(lines) or "v"


def _drop(lines: list[str], dice: Random) -> None:
    del lines[dice.randrange(len(lines))]


def _cut(lines: list[str], dice: Random) -> None:
    del lines[dice.randrange(1, len(lines) + 1) :]


def _repeat(lines: list[str], dice: Random) -> None:
    """Say a line, or all from it on, once more."""
    at = dice.randrange(len(lines))
    lines[at:at] = lines[at : dice.choice((at + 1, len(lines)))]


def _move(lines: list[str], dice: Random) -> None:
    line = lines.pop(dice.randrange(len(lines)))
    lines.insert(dice.randrange(len(lines) + 1), line)


def _insert(lines: list[str], dice: Random) -> None:
    lines.insert(dice.randrange(len(lines) + 1), dice.choice(_LINES))


def _number(lines: list[str], dice: Random) -> None:
    """Change a number, but in no address: nobody else is to be written to."""
    at = dice.choice([at for at, line in enumerate(lines) if not line.startswith("a=candidate")] or [0])
    odd = dice.choice(("-1", "0", "1", "255", "65536", "4294967296", "9" * 30, "x", ""))
    if not lines[at].startswith("a=candidate"):
        lines[at] = _NUMBER.sub(odd, lines[at], count=dice.choice((0, 1)))


def _word(lines: list[str], dice: Random) -> None:
    at = dice.randrange(len(lines))
    lines[at] = (
        lines[at].partition(dice.choice((":", "=", " ")))[0] + dice.choice(":= ") + dice.choice(_WORDS)
    )


_DAMAGES: Final[Sequence[Callable[[list[str], Random], None]]] = [
    _drop,
    _drop,
    _cut,
    _repeat,
    _move,
    _insert,
    _insert,
    _number,
    _word,
]

"""Several chats at once: the plugin `llama_cpp` beside one `llama_cpp.Llama` behind a lock.

Both sides have the same model, threads, prompts and answer length, and both have already read the system
prompt. A chat's first token counts from the moment all chats are asked. The sides take turns, so that a
neighbour's load meets both; the median round of each is printed.

    python bench/llama_cpp_batching.py --threads 1 --chats 4
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import anyio
import llama_cpp
from anyio import to_thread

from jackfield.contracts.llm import Finish, GenerationRequest, Message
from jackfield.models import locate
from jackfield_llm_llama_cpp.llm import LlamaCppLLM
from jackfield_llm_llama_cpp.native_log import native_log
from jackfield_llm_llama_cpp.options import LlamaCppOptions

SYSTEM = (
    "You are the voice assistant of a small railway. You know its timetable, its tickets and its stations. "
    "You answer in plain English, in a few sentences, and you never make up a train. Trains run from six in "
    "the morning until eleven in the evening, every half an hour on weekdays and every hour on Sundays. A "
    "single ticket costs three euros, a day ticket seven, and children under six travel free of charge. "
    "Dogs need a ticket for children. Bicycles are carried outside the rush hours. Lost things are kept for "
    "four weeks in the office at the main station, which is open on weekdays from nine to five."
)
QUESTIONS = (
    "Why is the sky blue?",
    "Tell me about the ocean.",
    "How do birds fly?",
    "What is a computer?",
    "Describe a forest in autumn.",
    "Explain how rain forms.",
    "What is music?",
    "Why do people sleep?",
)


@dataclass(frozen=True)
class Chat:
    """One answer, in seconds since all were asked. `tokens` as the model counts them."""

    first_s: float
    last_s: float
    tokens: int


@dataclass(frozen=True)
class Round:
    """What one side did with all chats at once."""

    tokens_per_s: float
    median_first_s: float
    worst_first_s: float
    waited_for_another: int
    """Chats whose first token came after another chat had ended."""


def summary(chats: list[Chat]) -> Round:
    """Boil a round down."""
    firsts = [chat.first_s for chat in chats]
    earliest_end_s = min(chat.last_s for chat in chats)
    return Round(
        tokens_per_s=sum(chat.tokens for chat in chats) / max(chat.last_s for chat in chats),
        median_first_s=statistics.median(firsts),
        worst_first_s=max(firsts),
        waited_for_another=sum(first_s > earliest_end_s for first_s in firsts),
    )


class Locked:
    """One `llama_cpp.Llama`; whoever holds the lock has it for a whole answer."""

    def __init__(self, path: Path, threads: int, tokens: int) -> None:
        self._llama = llama_cpp.Llama(
            str(path), n_ctx=2048, n_threads=threads, n_threads_batch=threads, verbose=False
        )
        self._lock = threading.Lock()
        self._tokens = tokens

    def run(self, questions: tuple[str, ...]) -> list[Chat]:
        """Ask all questions at once, each in a thread."""
        begun_s = time.perf_counter()
        chats: list[Chat] = []

        def ask(question: str) -> None:
            with self._lock:
                stamps = [time.perf_counter() - begun_s for _ in self._pieces(question)]
            chats.append(Chat(stamps[0], stamps[-1], len(stamps)))

        threads = [threading.Thread(target=ask, args=(question,)) for question in questions]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return chats

    def _pieces(self, question: str) -> Iterator[str]:
        chunks = self._llama.create_chat_completion(
            [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}],
            max_tokens=self._tokens,
            temperature=0.0,
            repeat_penalty=1.0,
            stream=True,
        )
        for chunk in chunks:
            if not isinstance(chunk, str) and "content" in chunk["choices"][0]["delta"]:
                yield ""


class Batched:
    """The plugin, as the server uses it."""

    def __init__(self, llm: LlamaCppLLM, tokens: int) -> None:
        self._llm = llm
        self._tokens = tokens

    async def run(self, questions: tuple[str, ...]) -> list[Chat]:
        """Ask all questions at once, each in a task."""
        begun_s = time.perf_counter()
        chats: list[Chat] = []

        async def ask(question: str) -> None:
            request = GenerationRequest(
                (Message("system", SYSTEM), Message("user", question)), max_tokens=self._tokens
            )
            stamps: list[float] = []
            tokens = 0
            async for output in self._llm.generate(request):
                if isinstance(output, Finish):
                    tokens = output.usage.completion_tokens if output.usage else 0
                else:
                    stamps.append(time.perf_counter() - begun_s)
            chats.append(Chat(stamps[0], stamps[-1], tokens))

        async with anyio.create_task_group() as tasks:
            for question in questions:
                tasks.start_soon(ask, question)
        return chats


def median_of(rounds: list[Round]) -> Round:
    """The median of each figure; of the chats that waited, the most."""

    def median(figure: Callable[[Round], float]) -> float:
        return round(statistics.median(figure(each) for each in rounds), 3)

    return Round(
        tokens_per_s=median(lambda each: each.tokens_per_s),
        median_first_s=median(lambda each: each.median_first_s),
        worst_first_s=median(lambda each: each.worst_first_s),
        waited_for_another=max(each.waited_for_another for each in rounds),
    )


async def measure(path: Path, threads: int, chats: int, tokens: int, rounds: int) -> tuple[Round, Round]:
    """Both sides in turns; returns the locked and the batched one's medians."""
    options = LlamaCppOptions(model=str(path), threads=threads, sequences=chats)
    locked_rounds: list[Round] = []
    batched_rounds: list[Round] = []
    locked = Locked(path, threads, tokens)
    async with LlamaCppLLM(options, path, logging.getLogger(__name__)) as llm:
        batched = Batched(llm, tokens)
        # Reads the system prompt; the question is none of those measured.
        await to_thread.run_sync(locked.run, ("Hello.",))
        await batched.run(("Hello.",))
        for number in range(1, rounds + 1):
            # Never the same prompt twice: both sides would find it already read.
            questions = tuple(f"{number}. {question}" for question in QUESTIONS[:chats])
            locked_rounds.append(summary(await to_thread.run_sync(locked.run, questions)))
            batched_rounds.append(summary(await batched.run(questions)))
    return median_of(locked_rounds), median_of(batched_rounds)


def main() -> None:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--chats", type=int, default=4, choices=range(2, len(QUESTIONS) + 1))
    parser.add_argument("--tokens", type=int, default=64, help="tokens of each answer")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="smollm2-135m-instruct", help="a known name or a path")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    load = os.getloadavg()[0]
    native_log()
    locked, batched = anyio.run(
        measure, locate(given.model), given.threads, given.chats, given.tokens, given.rounds
    )
    ratios = {
        "tokens_per_s": round(batched.tokens_per_s / locked.tokens_per_s, 2),
        "worst_first_s": round(batched.worst_first_s / locked.worst_first_s, 2),
    }
    if given.json:
        figures = {"locked": asdict(locked), "batched": asdict(batched), "ratios": ratios}
        print(json.dumps({"threads": given.threads, "chats": given.chats, "load_before": load, **figures}))
        return
    print(f"{given.chats} chats of {given.tokens} tokens, {given.threads} threads, load before {load:.1f}")
    print(f"{'':22}{'locked':>10}{'batched':>10}{'ratio':>8}")
    for figure, value in asdict(locked).items():
        print(f"{figure:22}{value:>10}{asdict(batched)[figure]:>10}{ratios.get(figure, ''):>8}")


if __name__ == "__main__":
    main()

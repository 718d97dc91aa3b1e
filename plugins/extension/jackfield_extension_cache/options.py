"""What is answered without the model, and for how long."""

from __future__ import annotations

from collections import Counter
from typing import Self

from pydantic import Field, field_validator, model_validator

from jackfield import Options
from jackfield_extension_cache.wording import wording


class FaqEntry(Options):
    """Questions that have one answer."""

    questions: tuple[str, ...] = Field(
        min_length=1, description="Ways to ask; letter case, white space and final punctuation do not matter."
    )
    answer: str = Field(description="What is answered.")

    @field_validator("answer")
    @classmethod
    def _is_no_silence(cls, answer: str) -> str:
        if not answer.strip():
            raise ValueError("an answer is empty: write what shall be said")
        return answer.strip()

    @field_validator("questions")
    @classmethod
    def _are_questions(cls, questions: tuple[str, ...]) -> tuple[str, ...]:
        if not all(map(wording, questions)):
            raise ValueError("a question is empty: write what users say")
        return questions


class CacheOptions(Options):
    """The FAQ, and which answers of models are kept where and for how long."""

    faq: tuple[FaqEntry, ...] = Field(
        (), description="Questions, each a list of ways to ask, that are answered without the model."
    )
    keep_answers: bool = Field(
        True,
        description="Whether answers of models to first messages of conversations are kept and given again.",
    )
    ttl_s: float = Field(600, gt=0, le=86_400, description="Seconds for which an answer is kept.")
    max_entries: int = Field(
        1000, ge=1, le=1_000_000, description="Most answers in memory; the one that was longest unused goes."
    )
    max_answer_chars: int = Field(
        8192, ge=1, le=1_000_000, description="Characters of the longest answer that is kept."
    )
    shared: bool = Field(
        False,
        description="Whether answers are kept in the session store's role `shared`, for all servers on it, "
        "instead of in the memory of each; the store then bounds them.",
    )

    @model_validator(mode="after")
    def _no_question_has_two_answers(self) -> Self:
        counts = Counter(words for entry in self.faq for words in {*map(wording, entry.questions)})
        twice = [words for words, times in counts.items() if times > 1]
        if twice:
            raise ValueError(f'"{twice[0]}" is asked by two entries of the FAQ: remove it from one of them')
        return self

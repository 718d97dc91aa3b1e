"""What an operator can set."""

from __future__ import annotations

import os
from pathlib import Path, PurePath
from typing import Self

from pydantic import Field, model_validator

from jackfield.plugin import Options


def _half_of_the_cpus() -> int:
    return max(1, (os.cpu_count() or 2) // 2)


class XllamacppOptions(Options):
    """Options of the plugin `xllamacpp`."""

    model: str = Field(
        "smollm2-135m-instruct",
        min_length=1,
        description="Name of a model that `jackfield models fetch` knows, or path of a GGUF file.",
    )
    chat_template: Path | None = Field(
        None, description="Path of a Jinja file to use instead of the chat template in the model's file."
    )
    context_tokens: int = Field(
        2048, ge=256, description="Tokens of prompt and answer together that one chat may use."
    )
    slots: int = Field(
        4,
        ge=1,
        le=64,
        description="Chats computed at once; further ones wait in order. Memory is set aside for `slots` "
        "times `context_tokens` tokens.",
    )
    kept_chats_mib: int = Field(
        256,
        ge=0,
        description="Mebibytes for what was computed of chats that are not running, so that their next "
        "turns need not be read from the start; the oldest gives way first. 0 keeps only one chat a slot.",
    )
    moved_tokens: int = Field(
        32,
        ge=0,
        description="Where the oldest messages of a chat were left out, what follows them is moved up "
        "instead of being read again, in runs of at least so many tokens. It was computed when the model "
        "still knew what was left out, so answers may differ a little. 0 reads it again.",
    )
    batch_tokens: int = Field(
        32,
        ge=1,
        le=4096,
        description="Tokens computed in one step of all running chats, at least `slots`. More reads long "
        "prompts a little faster; less keeps the other chats' words coming evenly and ends a cancelled "
        "answer sooner. On a GPU take 512.",
    )
    threads: int = Field(
        default_factory=_half_of_the_cpus,
        ge=1,
        description="Threads that compute; by default half of the machine's processors, at least one. "
        "Threads that have to share a processor with other work are slower than fewer threads.",
    )
    gpu_layers: int = Field(
        0, ge=-1, description="Layers of the model computed on the GPU; -1 for all of them."
    )
    temperature: float = Field(
        0.0, ge=0.0, le=5.0, description="0 always takes the likeliest token; higher is more varied."
    )
    top_p: float = Field(
        0.95,
        gt=0.0,
        le=1.0,
        description="With a temperature: choose among the likeliest tokens that have this probability "
        "together.",
    )
    seed: int | None = Field(
        None,
        ge=0,
        lt=2**32 - 1,
        description="Start of the random choice with a temperature; without it every answer has its own.",
    )
    max_tokens: int = Field(512, ge=1, description="Most tokens of an answer, when the request does not say.")

    @property
    def model_name(self) -> str:
        """What the model is called in reports; of a path only the last part."""
        return PurePath(self.model).name

    @model_validator(mode="after")
    def _every_chat_has_its_token(self) -> Self:
        if self.batch_tokens < self.slots:
            raise ValueError(
                f"batch_tokens is {self.batch_tokens}, but every one of {self.slots} slots needs a token in "
                "each step; raise batch_tokens or lower slots"
            )
        return self

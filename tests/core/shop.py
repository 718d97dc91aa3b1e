"""Throw-away plugin distributions, as pip would have installed them."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

HEADER = """
from jackfield import Capabilities, Options, PluginInfo, Site, hookimpl
"""


@dataclass
class PluginShop:
    """A folder on `sys.path` that distributions are put into."""

    folder: Path
    modules: set[str] = field(default_factory=set)

    def add(self, kind: str, name: str, source: str, *, distribution: str = "", target: str = "") -> str:
        """Install one plugin in a distribution of its own; gives the name of its module.

        `source` follows the usual imports. `target` is what the entry point names, if not the module.
        """
        module = f"jackfield_{kind}_{name}"
        distribution = distribution or f"jackfield-{kind}-{name.replace('_', '-')}"
        (self.folder / f"{module}.py").write_text(HEADER + dedent(source))
        info = self.folder / f"{distribution.replace('-', '_')}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.2\n")
        (info / "entry_points.txt").write_text(f"[jackfield.{kind}]\n{name} = {target or module}\n")
        importlib.invalidate_caches()  # as installers advise; a file's time may be too coarse to tell
        self.modules.add(module)
        return module

    def add_llm(
        self,
        name: str,
        *,
        options: str = "pass",
        build: str = "return LLM()",
        extra: str = "",
        more: str = "",
    ) -> str:
        """Install a language model; `options` and `build` are the bodies of its options and its factory."""
        return self.add("llm", name, llm_source(name, options=options, build=build, extra=extra, more=more))

    def imported(self) -> set[str]:
        """Which of the modules were imported in this process."""
        return self.modules & sys.modules.keys()

    def run(self, program: str) -> list[str]:
        """Run a program in a process of its own that finds the plugins; gives the lines that it prints."""
        path = os.pathsep.join([str(self.folder), *sys.path])
        command = [sys.executable, "-c", program]
        environment = {**os.environ, "PYTHONPATH": path}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    def forget(self) -> None:
        """Undo imports, so that the next test imports anew."""
        for module in self.modules:
            sys.modules.pop(module, None)


def llm_source(
    name: str, *, options: str = "pass", build: str = "return LLM()", extra: str = "", more: str = ""
) -> str:
    """Source of a language model that says its name."""
    return f"""
from jackfield.contracts.llm import Finish

class MyOptions(Options):
    {options}

class LLM:
    async def generate(self, request):
        yield {name!r}
        yield Finish("stop")

@hookimpl
def plugin_info():
    return PluginInfo("llm", {name!r}, "A test.", options=MyOptions, extra={extra!r} or None)

@hookimpl
def make_llm(options, site):
    {build}

{more}
"""

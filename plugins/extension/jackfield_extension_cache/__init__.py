"""Cache: answers without the model what is answered already.

Two things, each optional. Questions that the configuration file answers (an FAQ) get its answer wherever they
come in a conversation. Answers of models to first messages are kept for a while and given to whoever begins
with the same words: nothing that was said before can then have been meant. It needs no network; where several
servers are to share the answers, it needs a session store with the role `shared`. It cannot tell that two
questions mean the same: they must be the same words, letter case, white space and final punctuation aside.
"""

from __future__ import annotations

from jackfield import Capabilities, PluginInfo, Site, hookimpl
from jackfield_extension_cache.options import CacheOptions as CacheOptions
from jackfield_extension_cache.wrapper import AnswerCache as AnswerCache


def _capabilities(options: CacheOptions) -> Capabilities:
    return Capabilities(roles=("shared",) if options.shared else ())


@hookimpl
def plugin_info() -> PluginInfo:
    return PluginInfo(
        kind="extension",
        name="cache",
        summary="Answers configured questions, and first messages again, without the model.",
        options=CacheOptions,
        capabilities=_capabilities,
    )


@hookimpl
def make_turn_wrapper(options: CacheOptions, site: Site) -> AnswerCache:
    return AnswerCache(options, site)

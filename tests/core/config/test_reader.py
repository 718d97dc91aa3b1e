"""The configuration file: its text, the environment, `.env` and the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from jackfield.config import Config, examine_text, load_config, read_config
from jackfield.errors import ConfigError

SECRET = "sk-0123456789abcdef"
LLM = '[llm]\nuse = "echo"\n'


def lines(text: str, environment: dict[str, str] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as error:
        read_config(text, environment or {})
    assert error.value.problems
    found = str(error.value).splitlines()
    assert len(found) == len(error.value.problems)
    return found


def option(text: str, environment: dict[str, str]) -> object:
    config = read_config(f"{LLM}options.x = {text}", environment)
    assert config.llm is not None
    return config.llm.options["x"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("PORT", "SERVER_PORT", "ENVIRONMENT", "A"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def write(folder: Path, text: str, env: str | None = None) -> Path:
    path = folder / "server.toml"
    path.write_text(text)
    if env is not None:
        (folder / ".env").write_text(env)
    return path


# References.


@pytest.mark.parametrize(
    ("text", "environment", "wanted"),
    [
        ('"${A}"', {"A": "one"}, "one"),
        ('"<${A}-${B}>"', {"A": "one", "B": "two"}, "<one-two>"),
        ('"${A:-one}"', {}, "one"),
        ('"${A:-one}"', {"A": ""}, "one"),
        ('"${A:-one}"', {"A": "two"}, "two"),
        ('"${A:-}"', {}, ""),
        ('"${A:-http://x:1/y}"', {}, "http://x:1/y"),
        ('"$A $$ {A}"', {"A": "one"}, "$A $$ {A}"),
        ('["${A}", {b = "${A}"}]', {"A": "one"}, ["one", {"b": "one"}]),
        ('"${A}"', {"A": "${B}", "B": "two"}, "${B}"),
        ("5", {}, 5),
    ],
)
def test_references_are_replaced(text: str, environment: dict[str, str], wanted: object) -> None:
    assert option(text, environment) == wanted


def test_every_missing_variable_is_told_with_its_place() -> None:
    text = f'{LLM}options = {{key = "${{A}}", more = ["x", "${{B}}"]}}\n[server]\ntitle = "${{C}}"'

    assert lines(text) == [
        f"[{place}] The environment variable {name} is not set, or holds a placeholder. "
        f"Set {name}, or write {name}=... into the file .env."
        for place, name in [("llm.options.key", "A"), ("llm.options.more.2", "B"), ("server.title", "C")]
    ]


def test_a_missing_variable_is_one_problem_though_the_key_needs_a_number() -> None:
    assert len(lines('[server]\nport = "${A}"')) == 1


def test_a_default_may_not_hold_another_reference() -> None:
    assert lines('[server]\ntitle = "${A:-${B}}"') == [
        "[server.title] The default of ${A:-...} holds another variable. Write plain text as the default."
    ]


@pytest.mark.parametrize("placeholder", ["your_key", "YOUR-KEY", "<your key>", "changeme", "change-me"])
def test_a_placeholder_counts_as_missing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, placeholder: str
) -> None:
    monkeypatch.setenv("A", placeholder)

    with pytest.raises(ConfigError, match="variable A is not set, or holds a placeholder"):
        load_config(write(folder, '[server]\ntitle = "${A}"'))


# Which source wins.


def test_the_environment_wins_over_the_env_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(folder, '[server]\ntitle = "${A}"', "A=from the file\n")

    assert load_config(path).server.title == "from the file"
    monkeypatch.setenv("A", "from the environment")
    assert load_config(path).server.title == "from the environment"


@pytest.mark.parametrize("worthless", ["", "your_key"])
def test_what_is_no_value_in_the_environment_hides_none_in_the_env_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch, worthless: str
) -> None:
    monkeypatch.setenv("A", worthless)

    assert load_config(write(folder, '[server]\ntitle = "${A}"', "A=real")).server.title == "real"


def test_another_env_file_may_be_named(folder: Path) -> None:
    path = write(folder, '[server]\ntitle = "${A}"', "A=beside")
    other = folder / "other.env"
    other.write_text("A=other")

    assert load_config(path, env_file=other).server.title == "other"
    with pytest.raises(ConfigError, match=r"gone\.env is not a file"):
        load_config(path, env_file=folder / "gone.env")


def test_the_file_wins_over_the_environment_and_the_command_line_over_both(folder: Path) -> None:
    path = write(folder, "[server]\nport = 2", "PORT=1")

    assert load_config(path).server.port == 2
    assert load_config(path, server={"port": 3}).server.port == 3
    assert load_config(write(folder, ""), server={"host": "::1"}).server.port == 1
    assert load_config(write(folder, "", "")).server.port == 8000


@pytest.mark.parametrize("text", ["", '[server]\nport = "${PORT:-8000}"'])
@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, 8000),
        ({"PORT": "1"}, 1),
        ({"SERVER_PORT": "2"}, 2),
        ({"PORT": "3", "SERVER_PORT": "3"}, 3),
        ({"PORT": "", "SERVER_PORT": "4"}, 4),
    ],
)
def test_the_port_is_that_of_port_else_of_server_port(
    text: str, environment: dict[str, str], wanted: int
) -> None:
    assert read_config(text, environment).server.port == wanted


@pytest.mark.parametrize("text", ["", '[server]\nport = "${PORT:-8000}"', "[server]\nport = 5"])
def test_two_ports_that_differ_are_a_problem(text: str) -> None:
    assert lines(text, {"PORT": "1", "SERVER_PORT": "2"}) == [
        "[server.port] PORT and SERVER_PORT are both set and differ. Unset one."
    ]


def test_environment_says_what_the_file_does_not() -> None:
    production = {"ENVIRONMENT": "production"}

    assert read_config("", production).server.environment == "production"
    assert (
        read_config('[server]\nenvironment = "development"', production).server.environment == "development"
    )


# Files that cannot be used.


def test_a_file_that_is_not_there_is_named(folder: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.toml cannot be read: No such file or directory\."):
        load_config(folder / "gone.toml")


def test_a_folder_is_no_file(folder: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_config(folder)


def test_a_file_that_is_not_text_is_said_to_be_so(folder: Path) -> None:
    path = folder / "server.toml"
    path.write_bytes(b"\xff\xfe\x00")

    with pytest.raises(ConfigError, match="it is not UTF-8 text"):
        load_config(path)


def test_an_env_file_that_is_not_text_is_said_to_be_so(folder: Path) -> None:
    path = write(folder, "")
    (folder / ".env").write_bytes(b"A=\xff\xfe")

    with pytest.raises(ConfigError, match=r"\.env cannot be read: it is not UTF-8 text"):
        load_config(path)


@pytest.mark.parametrize("text", ["[server", "a = ", "a = 1\na = 2", "[llm]\n[llm]", "x = " + "[" * 20_000])
def test_what_is_not_toml_is_one_problem(text: str) -> None:
    (line,) = lines(text)

    assert line.startswith("[file] It is not TOML: ")


# Keys and values.


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("[servr]", '[servr] There is no key "servr" here. Did you mean "server"?'),
        ("[server]\nhots = 1", '[server.hots] There is no key "hots" here. Did you mean "host"?'),
        (
            LLM + "[llm.named.a]\nuse = 'echo'\nalias = ['b']",
            '[llm.named.a.alias] There is no key "alias" here. Did you mean "aliases"?',
        ),
        (
            "[[transport]]\nuse = 'a'\n[[transport]]\nuse = 'b'\nmout = '/'",
            '[transport.2.mout] There is no key "mout" here. Did you mean "mount"?',
        ),
        (
            "[assistant]\nexamples = [{user = 'a', assistent = 'b', assistant = 'c'}]",
            '[assistant.examples.1.assistent] There is no key "assistent" here. Did you mean "assistant"?',
        ),
        (
            "[scenarios.x]\ninstructions = 'i'\nvoice.gendre = 'male'",
            '[scenarios.x.voice.gendre] There is no key "gendre" here. Did you mean "gender"?',
        ),
        (
            "[session.records]\nuse = 'sql'\noption.a = 1",
            '[session.records.option] There is no key "option" here. Did you mean "options"?',
        ),
        (
            "[auth.x]\nuse = 'y'\nzzz = 1",
            '[auth.x.zzz] There is no key "zzz" here. Known keys: options, use.',
        ),
        ("[llm]\noptions = {}", '[llm.use] The key "use" is missing. Add it.'),
        (LLM + "[llm.named.x.options]\na = 1", '[llm.named.x.use] The key "use" is missing. Add it.'),
        (
            "[server]\nport = 'high'",
            "[server.port] Input should be a valid integer, unable to parse string as",
        ),
        (
            "[server]\nport = 70000",
            "[server.port] Input should be less than or equal to 65535. Mend the value.",
        ),
        ("server = 3", "[server] This must be a table. Mend the value."),
        ("[audio]\nurl = 's4://bucket'", "[audio.url] Clips are kept at s3://BUCKET/PREFIX, az://CONTAINER/"),
        ("[audio]\nurl = 's3://key:secret@bucket/x'", "[audio.url] Clips are kept at s3://BUCKET/PREFIX"),
        ("[audio]\nurl = 'az://box/x?sig=secret'", "[audio.url] Clips are kept at s3://BUCKET/PREFIX"),
        (
            "[audio]\nurl = 's3://b'\ndirectory = 'd'",
            "[audio] `directory` and `url` name two places; remove one of them. Mend the value.",
        ),
        (
            "[audio]\noptions.region = 'x'",
            "[audio] `options` are those of an object store, which `url` does not name. Mend the value.",
        ),
        ("llm = 'echo'", "[llm] This must be a table. Mend the value."),
        ("[transport]\nuse = 'x'", "[transport] This must be an array. Mend the value."),
        ("transport = [3]", "[transport.1] This must be a table. Mend the value."),
        ("[llm]\nuse = 'a'\nnamed = 3", "[llm.named] This must be a table. Mend the value."),
    ],
)
def test_a_wrong_key_or_value_is_told_with_its_fix(text: str, wanted: str) -> None:
    (line,) = lines(text)

    assert line.startswith(wanted)


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("[llm.named.gpt-4.1]\nuse = 'echo'", '[llm.named."gpt-4.1"]'),
        ("[llm.named.a.b.c]\nuse = 'echo'", '[llm.named."a.b.c"]'),
        ("[llm.named.a.b]\nuse = 'echo'\noptions.x = 1", '[llm.named."a.b"]'),
        ("[auth.my.devices]\nuse = 'x'", '[auth."my.devices"]'),
        ("[scenarios.v1.host]\ninstructions = 'x'", '[scenarios."v1.host"]'),
    ],
)
def test_a_name_with_a_dot_that_is_not_quoted_gets_the_quoted_one(text: str, fix: str) -> None:
    (line,) = lines(LLM + text)

    assert line.endswith(f"A name with a dot must be quoted. Write {fix}.")


def test_two_unquoted_names_that_begin_alike_are_two_problems() -> None:
    text = "[llm.named.gpt-4.1]\nuse = 'echo'\n[llm.named.gpt-4.2]\nuse = 'echo'"

    assert [line[-26:] for line in lines(LLM + text)] == [
        'Write [llm.named."gpt-4.1"].'[-26:],
        'Write [llm.named."gpt-4.2"].'[-26:],
    ]


def test_everything_wrong_is_told_at_once() -> None:
    text = '[servr]\n[llm]\noptions.key = "${A}"\n[session]\nttl_seconds = -1\n[[transport]]\nmount = "x"'

    assert [line.split("]")[0][1:] for line in lines(text)] == [
        "llm.options.key",
        "llm.use",
        "session.ttl_seconds",
        "transport.1.use",
        "transport.1.mount",
        "servr",
    ]


@pytest.mark.parametrize("key", [r'"a\nb"', r'"a\r\n[fake] line"'])
def test_a_problem_is_one_line_whatever_a_key_is_called(key: str) -> None:
    lines(f"{key} = 1")


@pytest.mark.parametrize(
    ("mount", "wanted"), [("/", ""), ("/chat", "/chat"), ("/a/b/", "/a/b"), ("/a-b_c.~d", "/a-b_c.~d")]
)
def test_a_mount_has_no_slash_at_its_end(mount: str, wanted: str) -> None:
    config = read_config(f'[[transport]]\nuse = "x"\nmount = "{mount}"\n[[transport]]\nuse = "y"', {})

    assert [door.mount for door in config.transport] == [wanted, ""]


@pytest.mark.parametrize("mount", ["", "chat", "//", "/a//b", "/{id}", "/a b", "/a?b", "http://x/"])
def test_what_is_no_path_is_no_mount(mount: str) -> None:
    (line,) = lines(f'[[transport]]\nuse = "x"\nmount = "{mount}"')

    assert line == '[transport.1.mount] A mount is "/" or a path such as "/chat". Mend the value.'


@pytest.mark.parametrize(
    "text",
    [
        f"[server]\nport = '{SECRET}'",
        f"[server]\nsecret_key = ['{SECRET}']",
        f"[server]\nsecret_key = {{a = '{SECRET}'}}",
        f"[server]\nmetrics = '{SECRET}'",
        f"[server]\nlog_level = '{SECRET}'",
        f"[server]\ncors_origins = ['{SECRET}']",
        f"[server]\npublic_url = '{SECRET}'",
        f"server = '{SECRET}'",
        f"[llm]\nuse = ['{SECRET}']",
        f"[llm]\nuse = 'x'\noptions = '{SECRET}'",
        f"[[transport]]\nuse = 'x'\nmount = '{SECRET}'",
        f"key = '{SECRET}'",
        f"key = '{SECRET}",
        f"key = {SECRET}",
    ],
)
def test_no_problem_shows_a_value(text: str) -> None:
    assert SECRET not in "".join(lines(text))


VALUES = ("3", "3.5", "true", '"text"', "[]", "[1]", '["a"]', "[[]]", "{}", "{a = 1}", "[{}]", "[{a = {}}]")
PLACES = (
    *Config.model_fields,
    "server.port",
    "llm.named",
    "llm.named.a",
    "llm.named.a.b.c",
    "llm.options",
    "session.records",
    "scenarios.a",
    "scenarios.a.voice",
    "scenarios.a.examples",
    "auth.a",
    "auth.a.b",
    "assistant.voice",
    "limits.enabled",
    "x.named.y.z",
)


@pytest.mark.parametrize("place", PLACES)
def test_no_shape_of_a_value_breaks_the_reader(place: str) -> None:
    for value in VALUES:
        config, problems = examine_text(f"{place} = {value}", {}, server={"port": 1})

        assert config is not None or problems


# Using what is right.


@pytest.mark.parametrize(
    ("text", "transports", "llm"),
    [
        ('[llm]\nuse = "echo"\noptions.key = "${A}"\n[[transport]]\nuse = "x"', ["x"], "echo"),
        ('[llm]\nuse = "echo"\nfoo = 1\n[[transport]]\nuse = "x"\nmount = "bad"', ["x"], "echo"),
        ('[llm]\n[[transport]]\nuse = "x"', ["x"], None),
        ('[llm]\nuse = "echo"\n[[transport]]\n[[transport]]\nuse = "x"', [], "echo"),
        ('server = 3\n[llm]\nuse = "echo"', [], "echo"),
    ],
)
def test_what_is_right_can_be_looked_at_all_the_same(
    text: str, transports: list[str], llm: str | None
) -> None:
    config, problems = examine_text(text, {})

    assert problems
    assert config is not None
    assert [door.use for door in config.transport] == transports
    assert (config.llm.use if config.llm else None) == llm


@pytest.mark.parametrize("proxy", ["10.1.2.3", "10.1.0.0/16", "::1", "2001:db8::/32"])
def test_a_proxy_is_an_address_or_a_network(proxy: str) -> None:
    config = read_config(f'[server]\ntrusted_proxies = ["{proxy}"]', {})
    assert config.server.trusted_proxies == (proxy,)


@pytest.mark.parametrize("proxy", ["*", "proxy.example.org", "10.1.2.3/16", "10.1.0.0/33", ""])
def test_a_proxy_that_is_neither_is_a_problem(proxy: str) -> None:
    with pytest.raises(ConfigError, match=r"\[server.trusted_proxies.1\] A proxy is an address or a network"):
        read_config(f'[server]\ntrusted_proxies = ["{proxy}"]', {})


def test_without_the_key_the_machine_itself_alone_is_trusted() -> None:
    assert read_config("", {}).server.trusted_proxies == ("127.0.0.1", "::1")

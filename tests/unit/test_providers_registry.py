"""Which providers an installation has."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import workers.providers.errors as errors_module
from workers import providers
from workers.providers import ProviderError, ProviderNotConfigured, ProviderRegistry
from workers.providers.registry import find_factories

KEYS = {"ANTHROPIC_API_KEY": "a", "OPENAI_API_KEY": "b"}


def kinds_of_error() -> list[type[ProviderError]]:
    return [
        kind
        for kind in vars(errors_module).values()
        if isinstance(kind, type) and issubclass(kind, ProviderError) and kind is not ProviderError
    ]


def problems(**environment: str) -> dict[str, str | None]:
    return {status.name: status.problem for status in ProviderRegistry(environment).statuses()}


def test_echo_needs_no_key() -> None:
    found = problems()

    assert found["echo"] is None
    assert found["anthropic"] == "ANTHROPIC_API_KEY is not set"
    assert found["openai"] == "OPENAI_API_KEY is not set"


def test_a_key_is_enough() -> None:
    found = problems(**KEYS)

    assert found["anthropic"] is None
    assert found["openai"] is None


def test_a_blank_key_is_none() -> None:
    assert problems(OPENAI_API_KEY=" \n")["openai"] == "OPENAI_API_KEY is not set"


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://example.org", "http://", "http://[::1", "http://x:y"])
def test_a_base_url_that_is_none_is_a_problem(url: str) -> None:
    assert problems(**KEYS, OPENAI_BASE_URL=url)["openai"] == "OPENAI_BASE_URL is not an http:// or https:// URL"


def test_finding_the_providers_imports_no_sdk() -> None:
    program = (
        "import sys; from workers.providers.registry import find_factories; find_factories({});"
        "print([name for name in ('anthropic', 'openai', 'PIL') if name in sys.modules])"
    )

    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)

    assert printed.stdout.strip() == "[]"


PROVIDER_FILE = """
from workers.providers.echo import Echo
from workers.providers.factories import Configuration, ProviderFactory

def _make(configuration: Configuration) -> Echo:
    assert configuration.base_url == "http://127.0.0.1:9"
    assert configuration.setting("PARROT_MOOD") == "fine"
    return Echo()

FACTORY = ProviderFactory(
    name="parrot", make=_make, base_url_variable="PARROT_BASE_URL", default_base_url="http://127.0.0.1:9"
)
"""


@pytest.fixture
def provider_path(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path
    providers.__path__.remove(str(tmp_path))
    for name in [name for name in sys.modules if name.startswith("workers.providers.a_test")]:
        del sys.modules[name]


async def test_a_provider_is_one_file(provider_path: Path) -> None:
    (provider_path / "a_test_parrot.py").write_text(PROVIDER_FILE)

    registry = ProviderRegistry({"HOLDFAST_PROVIDER_PATH": str(provider_path), "PARROT_MOOD": " fine "})

    assert "parrot" in registry.names
    assert registry.status("parrot").configured
    assert registry.get("parrot").name == "echo"
    await registry.aclose()


def test_two_files_cannot_offer_the_same_provider(provider_path: Path) -> None:
    for name in ("a_test_one", "a_test_two"):
        (provider_path / f"{name}.py").write_text(PROVIDER_FILE)

    with pytest.raises(ProviderNotConfigured, match="parrot: there is another one"):
        ProviderRegistry({"HOLDFAST_PROVIDER_PATH": str(provider_path)})


def test_a_configuration_does_not_show_its_key() -> None:
    factory = find_factories({})["openai"]

    assert "secret" not in repr(factory.configuration({"OPENAI_API_KEY": "secret"}))


@pytest.mark.parametrize(
    ("name", "environment", "problem"),
    [
        ("groq", {}, "HOLDFAST_COMPATIBLE_PROVIDERS does not name it"),
        ("groq", {"GROQ_API_KEY": "k"}, "HOLDFAST_COMPATIBLE_PROVIDERS does not name it"),
        ("groq", {"HOLDFAST_COMPATIBLE_PROVIDERS": "groq"}, "GROQ_API_KEY is not set"),
        ("groq", {"HOLDFAST_COMPATIBLE_PROVIDERS": " vllm, groq ,", "GROQ_API_KEY": "k"}, None),
        ("ollama", {"HOLDFAST_COMPATIBLE_PROVIDERS": "ollama"}, None),
        ("vllm", {"HOLDFAST_COMPATIBLE_PROVIDERS": "vllm"}, "VLLM_BASE_URL is not set"),
        ("vllm", {"HOLDFAST_COMPATIBLE_PROVIDERS": "vllm", "VLLM_BASE_URL": "http://gpu:8001/v1"}, None),
        ("my-gpu", {"HOLDFAST_COMPATIBLE_PROVIDERS": "my-gpu"}, "MY_GPU_BASE_URL is not set"),
        ("my-gpu", {"HOLDFAST_COMPATIBLE_PROVIDERS": "my-gpu,my-gpu", "MY_GPU_BASE_URL": "http://gpu/v1"}, None),
        (
            "my-gpu",
            {"HOLDFAST_COMPATIBLE_PROVIDERS": "my-gpu", "MY_GPU_BASE_URL": "gpu:8001"},
            "MY_GPU_BASE_URL is not an http:// or https:// URL",
        ),
        ("my-gpu", {}, "there is no such provider"),
    ],
)
def test_a_compatible_server_is_configured_by_its_name(
    name: str, environment: dict[str, str], problem: str | None
) -> None:
    assert ProviderRegistry(environment).status(name).problem == problem


@pytest.mark.parametrize("name", ["Groq", "a_b", "-a", "a--b", "../a", "x" * 41])
def test_a_compatible_server_with_a_name_that_is_none_is_a_problem(name: str) -> None:
    assert "names are of" in str(problems(HOLDFAST_COMPATIBLE_PROVIDERS=name)[name])


def test_a_compatible_server_cannot_take_the_name_of_another_provider() -> None:
    with pytest.raises(ProviderNotConfigured, match="openai: there is another one"):
        ProviderRegistry({"HOLDFAST_COMPATIBLE_PROVIDERS": "openai"})


async def test_a_compatible_server_has_its_own_name_and_description() -> None:
    registry = ProviderRegistry(
        {"HOLDFAST_COMPATIBLE_PROVIDERS": "gemini,my-gpu", "GEMINI_API_KEY": "k", "MY_GPU_BASE_URL": "http://gpu/v1"}
    )

    assert registry.get("gemini").name == "gemini"
    assert "Google" in registry.get("gemini").description
    assert registry.get("my-gpu").name == "my-gpu"
    await registry.aclose()


async def test_a_provider_without_a_key_is_not_given() -> None:
    with pytest.raises(ProviderNotConfigured, match="ANTHROPIC_API_KEY is not set"):
        ProviderRegistry({}).get("anthropic")


async def test_a_provider_that_does_not_exist_is_not_given() -> None:
    with pytest.raises(ProviderNotConfigured, match="no such provider"):
        ProviderRegistry(KEYS).get("hal")


async def test_the_same_provider_is_given_every_time_until_closed() -> None:
    registry = ProviderRegistry(KEYS)

    given = [registry.get(name) for name in ("echo", "anthropic", "openai")]

    assert [provider.name for provider in given] == ["echo", "anthropic", "openai"]
    assert all(provider.description for provider in given)
    assert [registry.get(provider.name) for provider in given] == given
    await registry.aclose()
    await registry.aclose()


async def test_preparing_makes_what_can_be_used_and_nothing_else() -> None:
    registry = ProviderRegistry({"OPENAI_API_KEY": "b"})

    registry.prepare()

    with pytest.raises(ProviderNotConfigured):
        registry.get("anthropic")
    assert registry.get("openai") is registry.get("openai")
    await registry.aclose()


def test_every_kind_of_error_has_its_own_code_and_a_sentence_for_customers() -> None:
    kinds = kinds_of_error()

    assert len({kind.code for kind in kinds}) == len(kinds)
    assert all(kind.message.endswith(".") and isinstance(kind.retryable, bool) for kind in kinds)


def test_the_sentence_for_customers_never_has_the_words_of_the_provider() -> None:
    for kind in kinds_of_error():
        error = kind(provider="openai", provider_message="key sk-123 of organization org-9")

        assert "sk-123" not in error.message
        assert error.provider_message == "key sk-123 of organization org-9"

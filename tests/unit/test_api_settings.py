import pytest

from api.settings import read_settings
from workers.settings import SettingsError

ENOUGH = {"DATABASE_URL": "postgresql://db"}


def test_settings_have_defaults_for_all_but_the_database() -> None:
    settings = read_settings(ENOUGH)

    assert settings.platform.database_url == "postgresql://db"
    assert settings.bootstrap_admin_key == ""
    assert settings.stream_max_age_s == 3600


@pytest.mark.parametrize(
    "more",
    [
        {"DATABASE_URL": ""},
        {"HOLDFAST_BOOTSTRAP_ADMIN_KEY": "x" * 31},
        {"HOLDFAST_JWT_SECRET": "x" * 31},
        {"HOLDFAST_JWT_SECRET": "x" * 32, "HOLDFAST_JWT_PUBLIC_KEY": "pem"},
        {"HOLDFAST_STREAM_MAX_AGE_S": "soon"},
        {"HOLDFAST_STREAM_MAX_AGE_S": "-1"},
        {"HOLDFAST_STREAM_MAX_AGE_S": "inf"},
    ],
)
def test_settings_that_make_no_sense_are_refused(more: dict[str, str]) -> None:
    with pytest.raises(SettingsError) as refused:
        read_settings({**ENOUGH, **more})

    assert "x" * 31 not in str(refused.value)


def test_a_secret_of_thirty_two_characters_is_enough() -> None:
    assert read_settings({**ENOUGH, "HOLDFAST_BOOTSTRAP_ADMIN_KEY": "x" * 32}).bootstrap_admin_key == "x" * 32

import time
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from api.principal import Principal, Role
from api.settings import ApiSettings
from api.tokens import TokenVerifier
from workers.settings import Settings

SECRET = "s" * 64
PRIVATE_KEY = Ed25519PrivateKey.generate()
PUBLIC_KEY = PRIVATE_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def verifier(**settings: str) -> TokenVerifier:
    return TokenVerifier(ApiSettings(platform=Settings(database_url="postgresql://unused"), **settings))  # pyright: ignore[reportArgumentType]


def claims(**given: Any) -> dict[str, Any]:
    return {"role": "service", "sub": "backend", "exp": int(time.time()) + 60, **given}


def test_a_token_signed_with_the_operators_ed25519_key_is_good() -> None:
    account_id = uuid4()
    token = jwt.encode(claims(role="user", sub=str(account_id)), PRIVATE_KEY, algorithm="EdDSA")

    assert verifier(jwt_public_key=PUBLIC_KEY).verify(token) == Principal(Role.user, f"jwt:{account_id}", account_id)


def test_only_the_one_algorithm_that_is_set_up_is_accepted() -> None:
    shared = jwt.encode(claims(), SECRET, algorithm="HS256")
    signed = jwt.encode(claims(), PRIVATE_KEY, algorithm="EdDSA")

    assert verifier(jwt_public_key=PUBLIC_KEY).verify(shared) is None
    assert verifier(jwt_secret=SECRET).verify(signed) is None


def test_without_a_key_no_token_is_good() -> None:
    assert verifier().verify(jwt.encode(claims(), SECRET, algorithm="HS256")) is None


@pytest.mark.parametrize(
    ("audience", "good"), [("holdfast", True), (["other", "holdfast"], True), ("other", False), (None, False)]
)
def test_an_audience_that_is_set_up_is_demanded(audience: Any, good: bool) -> None:
    given = claims() if audience is None else claims(aud=audience)
    token = jwt.encode(given, SECRET, algorithm="HS256")

    assert (verifier(jwt_secret=SECRET, jwt_audience="holdfast").verify(token) is not None) is good


def test_an_audience_that_is_not_set_up_does_not_matter() -> None:
    token = jwt.encode(claims(aud="anything"), SECRET, algorithm="HS256")

    assert verifier(jwt_secret=SECRET).verify(token) is not None


@pytest.mark.parametrize(("issuer", "good"), [("us", True), ("them", False), (None, False)])
def test_an_issuer_that_is_set_up_is_demanded(issuer: str | None, good: bool) -> None:
    given = claims() if issuer is None else claims(iss=issuer)
    token = jwt.encode(given, SECRET, algorithm="HS256")

    assert (verifier(jwt_secret=SECRET, jwt_issuer="us").verify(token) is not None) is good


@pytest.mark.parametrize("subject", ["ada@example.com", "Ada Lovelace", "+44 20 7946 0000", "x" * 65])
def test_a_subject_that_may_be_personal_is_recorded_by_its_digest(subject: str) -> None:
    token = jwt.encode(claims(sub=subject), SECRET, algorithm="HS256")

    principal = verifier(jwt_secret=SECRET).verify(token)

    assert principal is not None
    assert principal.actor.startswith("jwt:sha256:")
    assert subject not in principal.actor


def test_a_token_of_absurd_length_is_not_even_read() -> None:
    token = jwt.encode(claims(more="x" * 10_000), SECRET, algorithm="HS256")

    assert verifier(jwt_secret=SECRET).verify(token) is None


def test_a_users_subject_is_an_account() -> None:
    token = jwt.encode(claims(role="user", sub=UUID(int=7).hex), SECRET, algorithm="HS256")

    principal = verifier(jwt_secret=SECRET).verify(token)

    assert principal is not None
    assert principal.account_id == UUID(int=7)

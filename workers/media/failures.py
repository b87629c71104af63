"""Why a result cannot be kept, so that its generation ends like one whose provider failed, and costs nothing."""

from workers.providers.errors import ProviderError


class MediaFailure(ProviderError):
    """A result that cannot be kept, so that its generation fails and costs nothing."""


class MediaLost(MediaFailure):
    """The provider does not have the result any more."""

    code = "media_expired"
    message = "The result was deleted by its provider before it could be kept. Nothing is charged. Please try again."
    retryable = False


class MediaRefused(MediaFailure):
    """The result is not one we fetch or keep: from elsewhere, of another type, or too large."""

    code = "media_refused"
    message = "The model provider delivered a result that cannot be kept here. Nothing is charged."
    retryable = False


class MediaUnavailable(MediaFailure):
    """The result could not be copied, although it was tried several times."""

    code = "media_unavailable"
    message = "The result could not be copied from its provider. Nothing is charged. Please try again."
    retryable = True

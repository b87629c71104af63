"""What all providers of text have in common: everything but the wire format."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from functools import partial
from typing import Generic, TypeVar

from workers.providers.attachments import check_attachments, images_of
from workers.providers.conversation import ModelOptions, check_conversation, parse_options
from workers.providers.delivery import Delivery
from workers.providers.errors import ProviderError, RequestRejected
from workers.providers.interface import Chunk, InputFile, ProviderRequest, Usage
from workers.providers.structured import STRUCTURED, check_output_schema
from workers.providers.tokens import bound_input_tokens, estimate_cut_usage
from workers.providers.upstream import Reading, UpstreamStream, read_upstream

Event = TypeVar("Event")

TEXT_MODES = frozenset({"chat", "compose", STRUCTURED})


class TextProvider(ABC, Generic[Event]):
    """One connection pool to an API that streams text. Retries are off: an SDK that retries would bill twice unseen."""

    modes = TEXT_MODES
    takes_images = True

    def __init__(self, *, name: str, description: str) -> None:
        self.name = name
        self.description = description

    def check(self, request: ProviderRequest) -> None:
        """See `Provider.check`."""
        self._checked_options(request)

    def count_input_tokens(self, request: ProviderRequest) -> int:
        """See `bound_input_tokens`; pictures count as many tokens as the provider's rule can make of them."""
        return bound_input_tokens(request) + self._image_tokens(request)

    def estimate_usage(self, request: ProviderRequest, *, delivered: str, reported: Usage | None) -> Usage:
        """See `estimate_cut_usage`."""
        image_tokens = self._image_tokens(request)
        return estimate_cut_usage(request, delivered=delivered, reported=reported, image_tokens=image_tokens)

    def stream(self, request: ProviderRequest) -> AsyncGenerator[Chunk]:
        """See `Provider.stream`."""
        delivery = Delivery(
            provider=self.name,
            structured=request.mode == STRUCTURED,
            estimate=partial(self.estimate_usage, request),
        )
        return read_upstream(
            request=request,
            provider=self.name,
            open_stream=partial(self._check_and_open, request),
            reading=self.reading(request, delivery),
            translate=self.translate,
        )

    def check_options(self, request: ProviderRequest, options: ModelOptions) -> None:
        """Refuse what only this API cannot take."""

    @abstractmethod
    def count_image_tokens(self, request: ProviderRequest, image: InputFile) -> int:
        """Return the most tokens that the provider can make of a picture."""

    @abstractmethod
    async def open(self, request: ProviderRequest, options: ModelOptions) -> UpstreamStream[Event]:
        """Send the request and return the stream of its answer."""

    @abstractmethod
    def reading(self, request: ProviderRequest, delivery: Delivery) -> Reading[Event]:
        """Return what makes chunks of one stream."""

    @abstractmethod
    def translate(self, error: Exception, broken: type[ProviderError]) -> ProviderError | None:
        """See `Translate`."""

    @abstractmethod
    async def aclose(self) -> None:
        """See `Provider.aclose`."""

    async def _check_and_open(self, request: ProviderRequest) -> UpstreamStream[Event]:
        return await self.open(request, self._checked_options(request))

    def _checked_options(self, request: ProviderRequest) -> ModelOptions:
        if request.mode not in self.modes:
            raise RequestRejected(provider=self.name, provider_message=f"it has no mode {request.mode!r:.50}")
        check_conversation(request, provider=self.name)
        check_attachments(request, provider=self.name, takes_images=self.takes_images)
        check_output_schema(request, provider=self.name)
        options = parse_options(request, ModelOptions, provider=self.name)
        self.check_options(request, options)
        return options

    def _image_tokens(self, request: ProviderRequest) -> int:
        images = (image for message in request.messages for image in images_of(message, request))
        return sum(self.count_image_tokens(request, image) for image in images)

"""Model providers behind one interface: see `interface.py` for what they do and `errors.py` for how they fail."""

from workers.providers.errors import ProviderError
from workers.providers.interface import (
    Chunk,
    Finished,
    Message,
    Provider,
    ProviderRequest,
    TextDelta,
    Timeouts,
    Usage,
    UsageReport,
)
from workers.providers.registry import ProviderNotConfigured, ProviderRegistry, ProviderStatus
from workers.providers.tokens import estimate_output_tokens

__all__ = [
    "Chunk",
    "Finished",
    "Message",
    "Provider",
    "ProviderError",
    "ProviderNotConfigured",
    "ProviderRegistry",
    "ProviderRequest",
    "ProviderStatus",
    "TextDelta",
    "Timeouts",
    "Usage",
    "UsageReport",
    "estimate_output_tokens",
]

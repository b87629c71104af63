"""Model providers behind one interface: see `interface.py` for what they do and `errors.py` for how they fail."""

from workers.providers.errors import ProviderError
from workers.providers.factories import Configuration, ProviderFactory
from workers.providers.interface import (
    Attachment,
    Chunk,
    Finished,
    InputFile,
    JobStarted,
    JsonDelta,
    MediaKind,
    MediaResult,
    Message,
    Progress,
    Provider,
    ProviderRequest,
    TextDelta,
    Timeouts,
    UpstreamJob,
    Usage,
    UsageReport,
)
from workers.providers.registry import ProviderNotConfigured, ProviderRegistry, ProviderStatus
from workers.providers.tokens import estimate_output_tokens

__all__ = [
    "Attachment",
    "Chunk",
    "Configuration",
    "Finished",
    "InputFile",
    "JobStarted",
    "JsonDelta",
    "MediaKind",
    "MediaResult",
    "Message",
    "Progress",
    "Provider",
    "ProviderError",
    "ProviderFactory",
    "ProviderNotConfigured",
    "ProviderRegistry",
    "ProviderRequest",
    "ProviderStatus",
    "TextDelta",
    "Timeouts",
    "UpstreamJob",
    "Usage",
    "UsageReport",
    "estimate_output_tokens",
]

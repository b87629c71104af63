"""From what a caller asks for to what is kept and run: its template rendered, its files found, its session asked."""

from collections.abc import Mapping
from uuid import UUID

import msgspec

from ledger.batch import Rider
from ledger.database import Database
from workers.context import GenerationContext
from workers.errors import InvalidInput
from workers.media.inputs import check_inputs
from workers.models import ModelDefinition
from workers.modes import ModeInput, check_files, read_input
from workers.providers import InputFile, MediaKind
from workers.requests import GenerationRequest, StoredRequest, mode_of, output_limit, stored_request
from workers.session_store import get_session
from workers.sessions import retry_turn, take_turn
from workers.templates import template_for


class Intake(msgspec.Struct, frozen=True, kw_only=True):
    """A request that was read: what is kept of it, and what commits with its generation."""

    stored: StoredRequest
    given: ModeInput
    files: Mapping[str, InputFile]
    """What is known of the files that go into it; without their content."""
    riders: tuple[Rider, ...] = ()


async def model_meant(database: Database, account_id: UUID, request: GenerationRequest) -> str:
    """Return the name of the model that is asked for: the one that is named, else that of the session.

    Raises:
        InvalidInput: there is neither.
        SessionNotFound: there is no such session, or it is another account's.
    """
    named = request.model
    if named is None and request.session_id is not None:
        named = (await get_session(database, request.session_id, account_id=account_id)).model
    if named is None:
        raise InvalidInput("model is needed, unless there is a session that has one")
    return named


async def take_in(
    context: GenerationContext,
    account_id: UUID,
    request: GenerationRequest,
    definition: ModelDefinition,
    *,
    generation_id: UUID,
) -> Intake:
    """Read a request for a model.

    Raises:
        InvalidInput: the model has no such mode, or the input is not what the mode takes.
        TemplateNotFound, SessionNotFound: what it names is not there, or is another account's.
        MediaError: a file that it names is not there, is another account's, or is too large.
    """
    mode = mode_of(request, definition)
    template = await template_for(context.database, mode, request.input)
    given = read_input(
        mode, definition.parameters, request.input, template=template, attachments=definition.attachments
    )
    files = await _find_files(context, account_id, given)
    if request.session_id is None:
        return Intake(stored=stored_request(request, given, model=definition.name), given=given, files=files)
    output_tokens = output_limit(request.max_output_tokens, definition)
    turn = await take_turn(
        context.database,
        given,
        account_id=account_id,
        session_id=request.session_id,
        generation_id=generation_id,
        budget_tokens=max(definition.context_tokens - output_tokens, definition.context_tokens // 2),
        kinds=_kinds(files),
        attachments=definition.attachments,
    )
    given = msgspec.structs.replace(given, messages=turn.messages, files=(*given.files, *turn.files))
    if turn.files:
        files = await _find_files(context, account_id, given)
    stored = stored_request(request, given, model=definition.name)
    return Intake(stored=stored, given=given, files=files, riders=(turn.rider,))


async def take_again(
    context: GenerationContext,
    account_id: UUID,
    stored: StoredRequest,
    definition: ModelDefinition,
    *,
    generation_id: UUID,
    retry_of: UUID,
) -> Intake:
    """Take in once more what was asked for before.

    Raises:
        MediaError: a file that it names is not there any more.
    """
    given = stored.as_input(definition)
    files = await _find_files(context, account_id, given)
    riders: tuple[Rider, ...] = ()
    if stored.session_id is not None:
        again = retry_turn(account_id=account_id, generation_id=generation_id, retry_of=retry_of)
        riders = (Rider(writes=(again,)),)
    return Intake(stored=stored, given=given, files=files, riders=riders)


async def _find_files(context: GenerationContext, account_id: UUID, given: ModeInput) -> Mapping[str, InputFile]:
    if not given.file_ids:
        return {}
    files = await check_inputs(context.database, context.media, given.file_ids, account_id=account_id)
    check_files(given, files)
    return files


def _kinds(files: Mapping[str, InputFile]) -> Mapping[str, MediaKind]:
    return {media_id: file.kind for media_id, file in files.items()}

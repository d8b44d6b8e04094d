"""`init`: a connection gets its app and its identity (instant-realtime §3)."""

from __future__ import annotations

from trice.apps.apps import App
from trice.auth.accounts import no_user
from trice.auth.tokens import hash_token, identify
from trice.errors import InvalidInput, TriceError, invalid
from trice.identity import ADMIN, Identity
from trice.protocol import up
from trice.protocol.errors import CODES
from trice.protocol.ids import find_uuid_bytes
from trice.session.extension import Extension, negotiate
from trice.session.frames import init_frame
from trice.session.incoming import Letter
from trice.session.session import OpenedSession, Session
from trice.session.state import Phase


def init(session: Session, message: up.Init, raw: bytes, letter: Letter | None) -> None:
    """Open the app and answer with its catalog."""
    if session.state.phase is not Phase.WAITING:
        raise invalid("init", None, [{"message": "`init` has already run for this session."}])
    if message.app_id is None:
        raise InvalidInput("param-missing", 'Missing parameter: ["app-id"]', {"in": ["app-id"]})
    if find_uuid_bytes(message.app_id) is None:
        raise InvalidInput(
            "param-malformed",
            'Malformed parameter: ["app-id"]. It must be a uuid.',
            {"in": ["app-id"], "original-input": message.app_id},
        )
    extension = negotiate(message.trice)
    session.state.begin_opening()
    session.spawn(_open(session, message, raw, extension))


async def _open(session: Session, message: up.Init, raw: bytes, extension: Extension) -> None:
    try:
        opened = await _enter(session, message, extension)
        frame = init_frame(
            session.id,
            app={"id": opened.app.id, "title": opened.app.title},
            event_id=message.client_event_id,
            extension=extension,
            database=opened.database,
        )
    except TriceError as failure:
        _refuse(session, failure, message, raw)
        return
    session.push(frame)
    session.inbox.handle_early()


async def _enter(session: Session, message: up.Init, extension: Extension) -> OpenedSession:
    """Lend the app to the session, as whoever its tokens say it is.

    Invariant: an app is lent to an opened session or to nobody, however this ends.
    """
    assert message.app_id is not None, "looked at before"
    app = await session.apps.lend_socket(message.app_id.lower())
    try:
        identity, hashed_token = await _identify(session, app, message)
    except BaseException:
        session.apps.give_back_socket(app)
        raise
    return session.enter(app, identity, hashed_token=hashed_token, extension=extension)


async def _identify(session: Session, app: App, message: up.Init) -> tuple[Identity, str | None]:
    """The identity that the tokens prove, and the hash of the refresh token used."""
    if message.admin_token is not None:
        app.check_admin_token(message.admin_token)
        return ADMIN, None
    if message.refresh_token is not None:
        # Clients forget an unknown token, but are stuck after any other error.
        if find_uuid_bytes(message.refresh_token) is None:
            raise no_user()
        token = message.refresh_token
        identity = await identify(app.database, token, request=session.guest)
        return identity, hash_token(token)
    return session.guest, None


def _refuse(session: Session, failure: TriceError, message: up.Init, raw: bytes) -> None:
    close_code = CODES[failure.code].init_closes_with
    if close_code is not None:
        # After an error the client would wait for ever (instant-realtime §16); closed, it returns.
        session.close(close_code, "try again")
        return
    session.state.refuse_opening()
    session.fail(failure, raw=raw, event_id=message.client_event_id)
    session.inbox.handle_early()

"""The shared part of the live routes: sockets served, a step made, a session ended."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response, WebSocket
from pydantic import Field
from starlette.websockets import WebSocketDisconnect

from service.errors import Problem, ServiceError
from service.http.body import while_connected
from service.http.openapi import MODEL, WITH_KEY, problem_responses
from service.http.problems import SUBPROTOCOL
from service.live.hold import Hold, Stepper
from service.live.loop import CLOSE_S, LiveStream, close_socket
from service.live.messages import RESET, Arrival, ErrorReply, error_info
from service.live.model import Model, Place, Said, Subject
from service.services import Caller, Services, SharedServices, get_principal
from service.sessions import Address, Outcome, Session, SessionStore, new_epoch

StepNumber = Annotated[
    int | None,
    Field(
        ge=1,
        description="Number that this step is to have, from 1. A repeat of the last step returns "
        "its reply again, any other number is refused.",
    ),
]
STORE = (Problem.STORE_UNAVAILABLE, Problem.INVALID_REQUEST, *WITH_KEY)
STEP = (Problem.SESSION_TAKEN, Problem.WRONG_STEP, *MODEL, *STORE)
FOR_GOOD = (4401, 4403, 4404, 4422)  # who connects again is refused again
SESSION_NAME = r"^[A-Za-z0-9._-]{1,128}$"
SessionName = Annotated[
    str,
    Path(pattern=SESSION_NAME, description="The session's name: letters, digits, `.`, `_`, `-`."),
]
MakeSubject = Callable[[Services, Mapping[str, str]], tuple[Model, Subject[Any, Any]]]
ATTEMPTS = 3  # to store a step beside other connections before they win


def add_session_routes(router: APIRouter, name: str, make: MakeSubject, end_name: str) -> None:
    """Serve sockets at `/name/{session}`, and end sessions there by the operation `end_name`.

    `make` checks what the address of a socket asks for; it may raise ServiceError.
    """

    async def serve(socket: WebSocket, session: str, services: SharedServices) -> None:
        """Accept a socket and serve it to its end; what refuses it is told, and its close code."""
        # Accepted before it is judged: of a handshake that is refused, pages hear nothing.
        if not await _accept(socket):
            return
        try:
            await _serve(socket, session, services, make)
        except ServiceError as error:
            await _refuse(socket, error)

    async def end(session: SessionName, services: SharedServices, caller: Caller) -> None:
        """Forget a session's state; raises ServiceError where there is none."""
        if not await services.store.delete(Address(name, caller.name, session)):
            raise ServiceError(Problem.NOT_FOUND, f"there is no session {session!r} of yours")
        services.metrics.sessions.labels(name, "ended").inc()

    path = f"/{name}/{{session}}"
    router.add_api_websocket_route(path, serve)
    router.add_api_route(
        path,
        end,
        methods=["DELETE"],
        name=end_name,
        summary="End a session",
        description="Forget the session's state now; a socket that still holds it is closed at its "
        "next frame.",
        status_code=204,
        responses={
            204: {"description": "The session has ended; its state is gone."},
            **problem_responses(f"/{name}/camera-1", (Problem.NOT_FOUND, *STORE)),
        },
    )


async def refuse_unknown(socket: WebSocket) -> None:
    """Tell a socket of an address where none is served; of a handshake pages hear nothing."""
    if await _accept(socket):
        detail = "sockets are at /track/NAME and /affect/NAME"
        await _refuse(socket, ServiceError(Problem.NOT_FOUND, detail))


async def _refuse(socket: WebSocket, error: ServiceError) -> None:
    """Close the socket; what refuses it for good is told, as a close code has no room for it."""
    if error.problem.close_code in FOR_GOOD:
        told = ErrorReply(of="address", sequence=None, time_s=None, error=error_info(error))
        with suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                await socket.send_text(told.model_dump_json())
    await close_socket(socket, error.problem)


async def _accept(socket: WebSocket) -> bool:
    """Accept a socket; False where its client has left already."""
    offered = socket.scope.get("subprotocols", [])
    try:
        await socket.accept(SUBPROTOCOL if SUBPROTOCOL in offered else None)
    except OSError:
        return False
    return True


async def _serve(socket: WebSocket, session: str, services: Services, make: MakeSubject) -> None:
    principal = await get_principal(socket, services, None)
    # Not by FastAPI, which would refuse the handshake: of that pages hear nothing.
    if not re.fullmatch(SESSION_NAME, session):
        raise ServiceError(Problem.INVALID_REQUEST, f"a session's name fits {SESSION_NAME}")
    model, subject = make(services, socket.query_params)
    with services.sockets.place(model.name, principal.name, principal.max_sockets):
        await model.check_loaded()
        await subject.check_options(subject.options)
        address = Address(model.name, principal.name, session)
        hold = Hold(services.store, address, services.settings.store_outage_s)
        resumed = await hold.connect()
        event = "resumed" if resumed else "started"
        services.metrics.sessions.labels(model.name, event).inc()
        stepper = Stepper(hold, subject, services.metrics)
        authorized = partial(services.authenticator.knows, principal)
        stream = LiveStream(socket, stepper, services.settings, authorized)
        with services.sockets.listed(stream.stop):
            await stream.run()


async def answer_step(
    request: Request,
    services: Services,
    address: Address,
    subject: Subject[Any, Any],
    read: Callable[[], Awaitable[Arrival]],
    expected: int | None,
) -> Response:
    """Step a session by what a request brings while its client waits; raises ServiceError."""
    await Model(address.model, services).check_loaded()
    with services.uploads.slot():
        arrival = await read()
    stepping = step_once(services.store, address, subject, arrival, expected)
    with services.in_flight.slot():
        reply = await while_connected(request, stepping)
    return Response(reply, media_type="application/json")


async def step_once(
    store: SessionStore,
    address: Address,
    subject: Subject[Said, Any],
    arrival: Arrival,
    expected: int | None,
) -> bytes:
    """Step the session by what has arrived, as its step `expected`; return the reply as JSON.

    A step that is the session's last one already is not made again: its reply is returned as it
    was. A session that the store has lost starts anew and its reply's status is `reset`. Raises
    ServiceError: wrong-step, naming the one the session is at; session-taken when another
    connection was faster and the client did not say which step it expects.
    """
    lost, notes = False, list[str]()
    for _ in range(ATTEMPTS):
        found = await store.load(address)
        if found is not None and found.damage is not None:
            lost, notes = True, [f"the session starts anew: {found.damage}"]
            found = None
        elif found is not None and notes:
            lost, notes = False, []  # what was damaged was its epoch or time alone
        if found is not None and (repeated := _find_reply(found, expected)) is not None:
            return repeated
        # Who expects a later step has made those before it.
        lost = lost or (found is None and (expected or 1) > 1)
        state, number = (None, 1) if found is None else (found.state, found.step + 1)
        step = await subject.step(arrival, state)
        step.outputs.notes[:0] = arrival.notes
        if lost:
            step.outputs.status = RESET
            step.outputs.notes.extend(notes)
        reply = subject.reply(arrival, step.outputs, Place(number)).model_dump_json().encode()
        new = Session(new_epoch(), number, step.state, reply)
        outcome = await _commit(store, address, found, new)
        if outcome is Outcome.STORED:
            return reply
        if outcome is Outcome.CONFLICT and expected is None and not notes:
            break
        lost = lost or outcome is Outcome.MISSING
    raise ServiceError(
        Problem.SESSION_TAKEN, "another connection has stepped the session meanwhile"
    )


async def _commit(
    store: SessionStore, address: Address, known: Session | None, new: Session
) -> Outcome:
    """Write the step; a session begins by a connection, after a frame that could be looked at."""
    if known is None:
        known = await store.connect(address, new_epoch())
        if known.step > 0:
            return Outcome.CONFLICT
    return await store.commit(address, known.epoch, known.step, new)


def _find_reply(session: Session, expected: int | None) -> bytes | None:
    """Return the reply of the expected step where it is the last one made, None where it is next.

    Raises ServiceError for any other step.
    """
    if expected is None or expected == session.step + 1:
        return None
    if expected == session.step and session.reply is not None:
        return session.reply
    raise ServiceError(
        Problem.WRONG_STEP,
        f"the session is at step {session.step}, so the next one is {session.step + 1}; "
        f"{expected} came",
        extensions={"step": session.step},
    )

"""One step of a session for clients without sockets: a connection as long as one chunk."""

from service.errors import Problem, ServiceError
from service.live.replies import RESET
from service.live.subject import Chunk, Place, Said
from service.sessions import Address, Outcome, Session, SessionStore, new_epoch

ATTEMPTS = 3


async def step_once(store: SessionStore, address: Address, asked: Chunk[Said]) -> bytes:
    """Step the session by one chunk; return the reply as JSON.

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
        if found is not None and (repeated := _find_reply(found, asked.step)) is not None:
            return repeated
        lost = lost or (found is None and (asked.step or 1) > 1)
        state, number = (None, 1) if found is None else (found.state, found.step + 1)
        step = await asked.make(state)
        if lost:
            step.outputs.status = RESET
            step.outputs.notes.extend(notes)
        reply = asked.reply(step.outputs, Place(number)).model_dump_json().encode()
        new = Session(new_epoch(), number, step.state, reply)
        outcome = await _commit(store, address, found, new)
        if outcome is Outcome.STORED:
            return reply
        if outcome is Outcome.CONFLICT and asked.step is None:
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

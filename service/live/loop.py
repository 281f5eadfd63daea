"""The loop of a live session: a socket's frames in, one reply each in their order, to the close."""

import asyncio
import logging
import math
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from starlette.types import Message
from starlette.websockets import WebSocket, WebSocketDisconnect

from service.errors import Problem, ServiceError
from service.live.hold import Stepper
from service.live.messages import Arrival, Held, Kind, Mailbox, Options, OptionsReply, read_text
from service.schemas import Body
from service.security import Bucket
from service.settings import Settings

CLOSE_S = 1.0  # for a client to take the close
READ_ON_S = 0.01  # for what has come already when the service stops
BURST_S = 0.25  # what may come at once, in the time that it stands for
READS_PER_FRAME = 10  # how many messages are read in the time of one frame that is looked at

logger = logging.getLogger(__name__)


class ClientLeft(Exception):
    """The client has closed its socket: no reply can be sent."""


class LiveStream:
    """One accepted socket with its session: a task that reads, and one that answers.

    A frame that cannot be used is answered with an error and the session lives on. The socket is
    closed with the code of its Problem when a newer connection takes the session, its key is taken
    away, the client falls silent or does not read, the store stays away for too long, or the
    service stops.
    """

    def __init__(
        self,
        socket: WebSocket,
        stepper: Stepper[Any],
        settings: Settings,
        authorized: Callable[[], bool] = lambda: True,
    ) -> None:
        """Take a socket and what steps its session; `authorized` says whether it still may."""
        self._socket = socket
        self._authorized = authorized
        self._stepper = stepper
        self._subject = stepper.subject
        self._settings = settings
        self._held = Held()
        self._mailbox = Mailbox(self._subject.drop)
        self._frames = Bucket(settings.max_frames_per_s, BURST_S)
        self._reads = Bucket(settings.max_frames_per_s * READS_PER_FRAME, BURST_S)
        self._idle_timer = asyncio.timeout(None)
        self._received = 0
        self._reset_asked = False
        self._passing: list[Arrival] = []  # on their way to the mailbox
        self._reading = False
        self._busy = False
        self._stopping = False

    def stop(self) -> None:
        """Read no further; the socket closes after the reply to what was read."""
        self._stopping = True
        if self._reading:
            # A time that has passed ends the wait for the next message at once.
            self._idle_timer.reschedule(0)

    async def run(self) -> None:
        """Serve until the client leaves or something ends it; then close the socket."""
        reading = asyncio.create_task(self._read())
        answering = asyncio.create_task(self._answer_all())
        try:
            await asyncio.wait({reading, answering}, return_when=asyncio.FIRST_COMPLETED)
            if reading.done() and reading.result() is None:
                return
            await answering
            problem = await reading
            if problem is Problem.STOPPING:
                await self._answer_unread()
        except ClientLeft:
            return
        except ServiceError as error:
            problem = error.problem
        except Exception:
            logger.exception("live session failed")
            problem = Problem.INTERNAL
        finally:
            reading.cancel()
            answering.cancel()
            # Both have ended before the close: either may be using the socket.
            await asyncio.gather(reading, answering, return_exceptions=True)
        if problem is not None:
            await close_socket(self._socket, problem)

    async def _read(self) -> Problem | None:
        """Sort messages until the client leaves (None) or there is a reason not to read on."""
        try:
            async with self._idle_timer:
                self._reading = True
                self._restart_idle_timer()
                if self._stopping:
                    return Problem.STOPPING
                while (message := await self._socket.receive())["type"] == "websocket.receive":
                    self._restart_idle_timer()
                    if not self._authorized():
                        return Problem.UNAUTHENTICATED
                    await self._sort(message)
                    message.clear()  # while the next one is waited for, this one is not kept
                    self._reads.take()
                    await self._reads.wait()
                return None
        except TimeoutError:
            await self._pass_on(math.inf)
            return Problem.STOPPING if self._stopping else Problem.IDLE
        finally:
            # However reading ends: without an end of the mailbox the other task waits for ever.
            self._reading = False
            await self._mailbox.end()

    async def _answer_unread(self) -> None:
        """Answer what has come since the reading stopped: none of it is to go without a reply."""
        with suppress(TimeoutError):
            async with asyncio.timeout(READ_ON_S):
                while (message := await self._socket.receive())["type"] == "websocket.receive":
                    await self._sort(message)
        await self._answer_all()
        # Frames held back for a delay are due now: nothing comes that they could wait for.
        await self._pass_on(math.inf)
        await self._answer_all()

    def _restart_idle_timer(self) -> None:
        """Restart the time in which a message must come; none runs while a reply is due."""
        if self._reading and not self._stopping:
            until = asyncio.get_running_loop().time() + self._settings.socket_idle_s
            self._idle_timer.reschedule(None if self._busy else until)

    async def _sort(self, message: Message) -> None:
        if (text := message.get("text")) is not None:
            await self._handle_text(text)
            return
        data = message.get("bytes") or b""
        arrival = self._subject.read(data, time.perf_counter(), time.time())
        if arrival is not None:
            self._number(arrival)
            self._held.put(arrival)
        await self._pass_on(self._subject.due_s)

    def _number(self, arrival: Arrival) -> None:
        if arrival.kind is Kind.FRAME:
            arrival.sequence = self._received
            self._received += 1
        # A message that cannot be used starts nothing anew: the next one does.
        if arrival.error is None:
            arrival.reset, self._reset_asked = self._reset_asked, False

    async def _pass_on(self, due_s: float) -> None:
        """Let what is due be answered."""
        self._passing += self._held.take(due_s)
        if self._passing:
            await self._mailbox.put(*self._passing)
            self._passing = []

    async def _handle_text(self, text: str) -> None:
        """Do what a text message asks for; answer mistakes, and options where that is asked."""
        try:
            asked = read_text(text)
            if isinstance(asked, Options):
                await self._set_options(asked)
            else:
                await self._pass_on(math.inf)
                self._reset_asked = True
                self._subject.restart()
        except ServiceError as error:
            mistake = Arrival(None, time.perf_counter(), error=error, kind=Kind.TEXT)
            await self._mailbox.put(mistake)

    async def _set_options(self, asked: Options) -> None:
        if self._received:
            raise ServiceError(Problem.INVALID_REQUEST, "options come before the first frame")
        await self._subject.set_options(asked.values)
        self._mailbox.drop = self._subject.drop
        if asked.confirm:
            reply = OptionsReply(options=self._subject.options.model_dump())
            await self._mailbox.put(Arrival(None, time.perf_counter(), kind=Kind.TEXT, reply=reply))

    async def _answer_all(self) -> None:
        while (arrival := await self._mailbox.first()) is not None:
            self._busy = True
            self._restart_idle_timer()
            if arrival.is_frame:
                # It waits in the mailbox, where a newer frame may still take its place.
                await self._frames.wait()
            await self._answer(await self._mailbox.take())
            self._busy = False
            self._restart_idle_timer()

    async def _answer(self, arrival: Arrival) -> None:
        """Send the reply of an arrival, if one is due; raises ServiceError when it was the last."""
        if arrival.is_frame:
            self._frames.take()
        reply, last = await self._stepper.answer(arrival)
        arrival.data = b""
        if reply is not None:
            await self._send(reply)
        if last is not None:
            raise last

    async def _send(self, reply: Body) -> None:
        try:
            async with asyncio.timeout(self._settings.socket_send_s):
                await self._socket.send_text(reply.model_dump_json())
        except TimeoutError:
            raise ServiceError(Problem.REPLIES_UNREAD, "the client does not read") from None
        except (WebSocketDisconnect, RuntimeError) as error:
            raise ClientLeft from error


async def close_socket(socket: WebSocket, problem: Problem) -> None:
    """Close with the problem's code and name; a client that takes too long, or left, is let go."""
    with suppress(WebSocketDisconnect, RuntimeError, TimeoutError):
        async with asyncio.timeout(CLOSE_S):
            await socket.close(problem.close_code, problem.slug)

"""A login as it runs: the flow, the CLI that is driven, and the port, tied together. Terminal and API use it alike."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

from auth import callback
from auth.cli.dialogue import Refusal
from auth.cli.process import Ended
from auth.flow import Answer, Deliver, Ignored, LoginFlow, Step
from auth.logins.base import Driver, LoginFailed
from auth.ports import PortTaken

LOGIN_MINUTES_MAX = 10
DEVICE_MINUTES_MAX = 15
"""As long as the provider keeps a device code."""


class Login:
    """`on_step` is called on the loop with every step, the last of which is `Done` or `Aborted`."""

    def __init__(
        self,
        driver: Driver,
        *,
        whose: str,
        on_step: Callable[[Step], None],
        expected: str = "",
        minutes: float = LOGIN_MINUTES_MAX,
    ) -> None:
        self._driver = driver
        self._on_step = on_step
        self._minutes = minutes
        self._flow = LoginFlow(whose=whose, expected=expected)
        self._over = asyncio.Event()
        self.port: int | None = None
        """That serves the callback or the box to paste into."""
        self.remark = ""
        """What is amiss with that port, and can be done without."""

    @property
    def step(self) -> Step:
        return self._flow.step

    async def run(self) -> Step:
        """The last step. A cancelled task ends as a cancelled login, with the CLI gone."""
        try:
            await self._to_the_end()
        except LoginFailed as error:
            self._set(self._flow.failed(error.reason, str(error)))
        except PortTaken as error:
            self._set(self._flow.failed("port_taken", f"{error}, and this login needs it; end that first"))
        except (Ended, Refusal) as error:
            self._set(self._flow.failed("failed", f"{self._flow.whose} ended the login: {_one_line(str(error))}"))
        except TimeoutError:
            self._set(self._flow.timed_out(round(self._minutes)))
        finally:
            self._set(self._flow.cancelled())  # unless it is over already
            await self._driver.close()
        return self._flow.step

    async def paste(self, text: str) -> bool:
        """Whether it counts. If not, the step says why."""
        flow, what = self._flow.pasted(text)
        return await self._act(flow, what)

    def cancel(self) -> None:
        self._set(self._flow.cancelled())

    async def _to_the_end(self) -> None:
        async with asyncio.timeout(self._minutes * 60), self._opened():
            await self._until_over()

    async def _work(self) -> None:
        offer = await self._driver.open()
        self._set(
            self._flow.offered(
                offer.step, state=offer.state, issuer=offer.issuer, must_name_issuer=offer.must_name_issuer
            )
        )
        await self._driver.completed()
        self._set(self._flow.finished(await self._driver.identity()))

    async def _until_over(self) -> None:
        """The flow may be over before the CLI notices anything."""
        task = asyncio.create_task(self._work())
        over = asyncio.create_task(self._over.wait())
        try:
            await asyncio.wait({task, over}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()
        finally:
            for each in (task, over):
                each.cancel()
            await asyncio.wait({task, over})

    @contextlib.asynccontextmanager
    async def _opened(self) -> AsyncIterator[None]:
        """The port is open before the person sees any URL."""
        async with contextlib.AsyncExitStack() as stack:
            if (door := self._driver.door) is not None:
                try:
                    self.port = await stack.enter_async_context(callback.opened(door, self._answer, self.paste))
                except PortTaken as error:
                    if self._driver.is_door_needed:
                        raise
                    self.remark = str(error)
            yield

    async def _answer(self, answer: Answer) -> bool:
        flow, what = self._flow.answered(answer)
        return await self._act(flow, what)

    async def _act(self, flow: LoginFlow, what: Deliver | Ignored | None) -> bool:
        self._set(flow)
        if isinstance(what, Deliver):
            try:
                await self._driver.deliver(what)
            except LoginFailed as error:
                self._set(self._flow.failed(error.reason, str(error)))
            except (Ended, Refusal, OSError):
                return True  # whoever waits for the CLI hears it too, and better
        return not isinstance(what, Ignored)

    def _set(self, flow: LoginFlow) -> None:
        if flow.step is self._flow.step:
            self._flow = flow
            return
        self._flow = flow
        if flow.is_over:
            self._over.set()
        self._on_step(flow.step)


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line[:300] + "…" if len(line) > 300 else line

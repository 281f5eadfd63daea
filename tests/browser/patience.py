"""Waiting for what the page does not announce; its content policy forbids Playwright's own way."""

import time

from playwright.sync_api import Page

PATIENCE_S = 60.0
PAUSE_MS = 100


def until(page: Page, expression: str) -> None:
    """Return once a JavaScript expression is true; raises TimeoutError."""
    ends = time.monotonic() + PATIENCE_S
    while not page.evaluate(expression):
        if time.monotonic() > ends:
            raise TimeoutError(f"not true within {PATIENCE_S:g} s: {expression}")
        page.wait_for_timeout(PAUSE_MS)

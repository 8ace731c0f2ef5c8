"""A served viewer and visitors whose pages must not complain."""

import re

import pytest
from streamavis_apps.web.web_view import WebView
from web_rig import DEADLINE_S, chromium


@pytest.fixture(scope="module")
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser):
    """Open a page; whatever it complains of fails the test."""
    complaints, contexts = [], []

    def opened(url, **options):
        options.setdefault("viewport", {"width": 1200, "height": 800})
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(DEADLINE_S * 1000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "request",
            lambda request: complaints.append(request.url) if not ours(request, url) else None,
        )
        page.goto(url)
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


def ours(request, url):
    host = re.match(r"https?://[^/]+", url)[0]
    return request.url.startswith((host, host.replace("http", "ws", 1), "blob:", "data:"))


@pytest.fixture
def view():
    with WebView(port=0) as view:
        yield view

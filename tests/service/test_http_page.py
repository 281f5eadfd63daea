"""The page: everything it is made of is here, may be kept by browsers, and needs no key."""

import re
from pathlib import Path

import pytest

from service.errors import Problem
from service.page import SERVICE

WEB = SERVICE / "web"
CLIENT = SERVICE / "client"
OWN_FILES = [path for path in (*WEB.rglob("*"), *CLIENT.glob("*.js")) if "vendor" not in path.parts]
SCRIPTS = [path for path in OWN_FILES if path.suffix == ".js"]


def address_of(path: Path) -> str:
    if path.is_relative_to(WEB):
        return f"/web/{path.relative_to(WEB).as_posix()}"
    return f"/web/client/{path.name}"


def imports_of(script: Path) -> list[str]:
    """Paths that a script imports or loads by its own address, as they stand there."""
    text = script.read_text(encoding="utf-8")
    return re.findall(r'from "(\.[^"]+)"', text) + re.findall(r'new URL\("([^"]+)", import', text)


async def test_the_page_is_at_the_front_and_all_that_it_loads_is_there(client):
    reply = await client.get("/")
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    loaded = re.findall(r'(?:src|href)="([^"#]+)"', reply.text)
    assert "web/app.js" in loaded
    for path in loaded:
        assert (await client.get("/" + path)).status_code == 200, path


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
async def test_what_a_script_imports_is_served(client, script):
    own = address_of(script)
    assert (await client.get(own)).headers["content-type"].startswith("text/javascript")
    for path in imports_of(script):
        address = str(client.base_url.join(own).join(path).path)
        assert (await client.get(address)).status_code == 200, path


def test_nothing_is_loaded_from_elsewhere():
    for path in OWN_FILES:
        if path.suffix in {".js", ".html", ".css"}:
            text = path.read_text(encoding="utf-8")
            elsewhere = set(re.findall(r'["\'(](?:https?:)?//[^"\')\s]+', text))
            named = {found for found in elsewhere if "www.w3.org" not in found}
            assert not {found for found in named if "faces.example" not in found}, path


async def test_the_policy_allows_this_service_s_files_only_and_no_inline_code(client):
    headers = (await client.get("/")).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    assert headers["permissions-policy"] == "camera=(self), microphone=(self), geolocation=()"
    assert headers["x-frame-options"] == "DENY"
    page = (WEB / "index.html").read_text(encoding="utf-8")
    assert not re.search(r'<script(?![^>]*src=)|<style|\sstyle="|\son\w+="', page)


async def test_browsers_ask_again_and_the_policy_goes_with_the_answer(client):
    first = await client.get("/")
    assert first.headers["cache-control"] == "no-cache"
    again = await client.get("/", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    assert again.headers["content-security-policy"] == first.headers["content-security-policy"]
    assert again.headers["cache-control"] == "no-cache"


async def test_libraries_are_kept_for_good_and_their_licence_stands_beside_them(client):
    library = next((WEB / "vendor").iterdir())
    for path in library.iterdir():
        reply = await client.get(address_of(path))
        assert reply.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert "MIT" in (library / "LICENSE").read_text(encoding="utf-8")


async def test_only_the_client_for_browsers_is_served_of_the_clients(client):
    assert (await client.get("/web/client/countenance.js")).status_code == 200
    for path in ("__init__.py", "../app.py", "live.py", ""):
        assert (await client.get(f"/web/client/{path}")).status_code == 404


async def test_the_page_needs_no_key(make_client, keys):
    client = make_client(api_keys_file=keys[0])
    for path in ("/", "/web/app.js", "/web/client/countenance.js", "/web/sample/portrait.jpg"):
        assert (await client.get(path)).status_code == 200, path


def test_the_client_words_the_closing_of_a_socket_as_the_service_words_its_problems():
    script = (CLIENT / "problem.js").read_text(encoding="utf-8")
    titles = dict(re.findall(r'^  "([a-z-]+)": "(.+)",$', script, re.MULTILINE))
    assert titles
    assert titles == {p.slug: p.title for p in Problem if p.slug in titles}
    codes = {int(code) for code in re.search(r"Set\(\[([\d, ]+)\]\)", script)[1].split(",")}
    assert codes <= {p.close_code for p in Problem}

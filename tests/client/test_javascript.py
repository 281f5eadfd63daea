"""The JavaScript client outside of browsers: on Node.js, which has sockets since version 22."""

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.client.conftest import RunningService
from tests.made_clips import make_clip
from tests.needs import NODE, NODE_20
from tests.service.counting import frames
from tests.sources import ROOT

SCRIPT = """
import { readFile } from "node:fs/promises";
import { Countenance, Problem } from "countenance-client";
const [url, clip, ...files] = process.argv.slice(2);
const service = new Countenance({ url });
const live = service.trackLive("node", { maxFaces: 2 });
const pictures = await Promise.all(files.map((file) => readFile(file)));
live.open();
const sent = pictures.map((data, index) => live.send(new Blob([data]), index / 25));
const replies = await Promise.all(sent);
live.close();
await service.end("track", "node");
const lines = [];
const walk = new Blob([await readFile(clip)]);
for await (const line of service.track(walk, { maxFaces: 2, rateHz: 5 })) {
  lines.push(line.type);
}
const refused = await service.align(new Blob(["no picture"])).catch((error) => error);
const { device } = await service.ready();
console.log(JSON.stringify({
  steps: replies.map(({ step }) => step), device,
  lines, refused: [refused instanceof Problem, refused.slug],
}));
"""
REFUSED = """
import { Countenance } from "countenance-client";
const [url] = process.argv.slice(2);
const service = new Countenance({ url });
const said = (error) => `${error.slug} ${error.title}: ${error.detail}`;
const told = async (live) => {
  live.open();
  const all = [live.whenOpen(), live.send(new Blob(["no picture"]), 0)];
  return [...await Promise.all(all.map((one) => one.then(() => "taken", said))), live.state];
};
const found = {
  snake: await told(service.trackLive("snake", { max_faces: 2, drop: false })),
  camel: await told(service.trackLive("camel", { minFacePx: 60, drop: true })),
  faces: await told(service.trackLive("faces", { max_faces: 99 })),
  number: await told(service.trackLive("number", { minQuality: NaN })),
  unknown: await told(service.trackLive("unknown", { maxFace: 1 })),
  slash: await told(service.trackLive("a b/\u00fc")),
  long: await told(service.trackLive("a".repeat(200))),
  idle: await service.trackLive("idle").send(new Blob(["no picture"]), 0).catch(said),
};
const sockets = globalThis.WebSocket;
delete globalThis.WebSocket;
found.socketless = await told(new Countenance({ url }).trackLive("none"));
const given = new Countenance({ url, WebSocket: sockets }).trackLive("given");
given.open();
found.given = await given.whenOpen().then(() => given.state);
given.close();
console.log(JSON.stringify(found));
process.exit();
"""


def run_node(folder: Path, script: str, *arguments: str) -> Any:
    """What a script prints as JSON that imports the package as installed from here."""
    package = json.loads((ROOT / "package.json").read_text())
    assert (ROOT / package["exports"]["."]["types"]).is_file()
    installed = folder / "node_modules" / package["name"]
    installed.parent.mkdir()
    installed.symlink_to(ROOT)
    (folder / "script.mjs").write_text(script)
    flags = ["--experimental-websocket", "--no-warnings", "--preserve-symlinks"]
    run = subprocess.run(
        [str(NODE), *flags, "script.mjs", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


@NODE_20.mark
def test_what_refuses_a_live_session_rejects_its_opening(
    service: RunningService, tmp_path: Path
) -> None:
    found = run_node(tmp_path, REFUSED, service.url)
    invalid = "invalid-request The request does not fit the interface: "
    for name, words in [
        ("faces", "max_faces: Input should be less than or equal to 8"),
        ("number", "min_quality: Input should be a valid number"),
        (
            "unknown",
            "max_face: this is no option here; options are max_faces, min_face_px, min_quality, "
            "steady, smoothing, variant, drop",
        ),
        ("slash", "A session's name is 1 to 128 letters, digits, `.`, `_`, `-`."),
        ("long", "A session's name is 1 to 128 letters, digits, `.`, `_`, `-`."),
    ]:
        assert found[name] == [invalid + words, invalid + words, "closed"]
    assert found["snake"] == found["camel"] == ["taken", "taken", "open"]
    assert found["idle"] == " The session is not open: Call open() first."
    assert found["socketless"][0].startswith(" There is no WebSocket here: Node.js has it from 22")
    assert (found["socketless"][2], found["given"]) == ("closed", "open")


@NODE_20.mark
def test_the_package_installs_from_the_repository_and_follows_frames(
    service: RunningService, tmp_path: Path
) -> None:
    files = []
    for number, (picture, _) in enumerate(frames(5)):
        (tmp_path / f"{number}.png").write_bytes(picture)
        files.append(str(tmp_path / f"{number}.png"))
    clip = make_clip(tmp_path / "clip.mp4", [number / 25 for number in range(10)])
    told = run_node(tmp_path, SCRIPT, service.url, str(clip), *files)
    assert told["steps"] == [1, 2, 3, 4, 5]
    assert told["lines"] == ["clip", *["frame"] * (len(told["lines"]) - 2), "summary"]
    assert told["device"] == "cpu"
    assert told["refused"][0] is True

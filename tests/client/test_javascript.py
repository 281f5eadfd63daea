"""The JavaScript client outside of browsers: on Node.js, which has sockets since version 22."""

import json
import subprocess
from pathlib import Path

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
const live = service.trackLive("node", { max_faces: 2 });
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


@NODE_20.mark
def test_the_package_installs_from_the_repository_and_follows_frames(
    service: RunningService, tmp_path: Path
) -> None:
    package = json.loads((ROOT / "package.json").read_text())
    installed = tmp_path / "node_modules" / package["name"]
    installed.parent.mkdir()
    installed.symlink_to(ROOT)
    types = ROOT / package["exports"]["."]["types"]
    assert types.is_file()
    (tmp_path / "script.mjs").write_text(SCRIPT)
    files = []
    for number, (picture, _) in enumerate(frames(5)):
        (tmp_path / f"{number}.png").write_bytes(picture)
        files.append(str(tmp_path / f"{number}.png"))
    clip = make_clip(tmp_path / "clip.mp4", [number / 25 for number in range(10)])
    flags = ["--experimental-websocket", "--no-warnings", "--preserve-symlinks"]
    run = subprocess.run(
        [str(NODE), *flags, "script.mjs", service.url, str(clip), *files],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    told = json.loads(run.stdout)
    assert told["steps"] == [1, 2, 3, 4, 5]
    assert told["lines"] == ["clip", *["frame"] * (len(told["lines"]) - 2), "summary"]
    assert told["device"] == "cpu"
    assert told["refused"][0] is True

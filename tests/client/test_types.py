"""The types of the JavaScript client: strict TypeScript takes them, and they name what is there."""

import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.needs import NODE, NODE_20, TSC
from tests.sources import ROOT

TYPES = ROOT / "service" / "client" / "countenance.d.ts"
CLASS = re.compile(r"export declare class (\w+)[^{]*\{(.*?)^\}", re.MULTILINE | re.DOTALL)
METHOD = re.compile(r"^  (\w+)\(", re.MULTILINE)
USED = """
import { Countenance, LiveSession, Problem } from "countenance-client";
import type { ClipLine, Face, LiveReply, PhotographReply } from "countenance-client";

const service = new Countenance({ url: "http://localhost:8000", key: () => null });
const photo = new Blob([]);

export async function measure(): Promise<number> {
  const { faces, notes } = await service.align(photo, {
    include: ["aligned"],
    boxes: [[0, 0, 9, 9]],
  });
  const first: Face | undefined = faces[0];
  const yaw: number = first?.pose?.yaw_deg ?? 0;
  const table: Blob = await service.alignAs(photo, "text/csv", { maxFaces: 2 });
  const affect: PhotographReply = await service.affectPhoto(photo, { variant: "expressions" });
  for await (const line of service.track(photo, { rateHz: 5, steady: false })) use(line);
  for await (const line of service.affect(photo, { smoothingS: 0 })) use(line);
  await service.end("track", "name");
  return yaw + table.size + notes.length + (affect.faces[0]?.valence ?? 0);
}

export async function follow(): Promise<LiveReply | null> {
  const live: LiveSession = service.trackLive("name", { maxFaces: 2, drop: true });
  live.addEventListener("state", () => console.log(live.state));
  live.open();
  await live.whenOpen().catch((error: unknown) => {
    if (error instanceof Problem) console.log(error.slug, error.status);
  });
  await live.whenFree();
  const reply = await live.send(photo, 0);
  live.close();
  const heard: boolean = service.affectLive("name", { delayS: 1 }).sendSound(new Int16Array(9), 0);
  return heard ? reply : null;
}

function use(line: ClipLine): void {
  console.log(line.type);
}
"""
# Writes the methods of every exported class.
NAMES = """
import * as client from CLIENT;
const methods = ({ prototype }) => Object.getOwnPropertyNames(prototype)
  .filter((name) => name !== "constructor"
    && !Object.getOwnPropertyDescriptor(prototype, name).get)
  .sort();
const all = Object.entries(client).map(([name, one]) => [name, methods(one)]);
console.log(JSON.stringify(Object.fromEntries(all)));
"""
# Each is refused: a misspelt option, a text where a number belongs, a method that is not there.
WRONG = ("service.align(photo, { maxFace: 1 });", 'live.send(photo, "0");', "service.pause();")


def compiled(folder: Path, program: str) -> str:
    """What strict TypeScript says of a program that imports the client as a package."""
    (folder / "node_modules").mkdir(exist_ok=True)
    package = folder / "node_modules" / "countenance-client"
    if not package.exists():
        package.symlink_to(ROOT)
    (folder / "program.ts").write_text(program)
    options = ["--strict", "--noEmit", "--exactOptionalPropertyTypes", "--target", "es2022"]
    modules = ["--module", "nodenext", "--lib", "es2022,dom,dom.iterable,dom.asynciterable"]
    command = ["tsc", *options, *modules, "program.ts"]
    (folder / "package.json").write_text('{"type": "module"}')
    return subprocess.run(command, cwd=folder, capture_output=True, text=True).stdout


@pytest.mark.slow
@TSC.mark
def test_strict_typescript_takes_a_program_that_uses_all_of_the_client(tmp_path: Path) -> None:
    assert compiled(tmp_path, USED) == ""


@pytest.mark.slow
@TSC.mark
@pytest.mark.parametrize("wrong", WRONG)
def test_strict_typescript_refuses_what_the_client_would(tmp_path: Path, wrong: str) -> None:
    before = "declare const live: ReturnType<typeof service.trackLive>;\n"
    assert "error TS" in compiled(tmp_path, f"{USED}\n{before}{wrong}")


@NODE_20.mark
def test_the_types_name_every_method_of_the_client_and_no_other(tmp_path: Path) -> None:
    declared = {
        name: sorted({*METHOD.findall(body)} - {"constructor"})
        for name, body in CLASS.findall(TYPES.read_text(encoding="utf-8"))
    }
    client = (ROOT / "service" / "client" / "countenance.js").as_uri()
    (tmp_path / "program.mjs").write_text(NAMES.replace("CLIENT", json.dumps(client)))
    told = subprocess.run(
        [str(NODE), tmp_path / "program.mjs"], capture_output=True, text=True, check=True
    ).stdout
    assert declared == json.loads(told)

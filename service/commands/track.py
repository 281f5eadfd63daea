"""`countenance track`: faces followed through clips or a camera's pictures."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from service.client import Countenance
from service.commands.batch.files import (
    CLIPS,
    Emit,
    Plan,
    Source,
    draft_of,
    find_sources,
    is_photo,
    left_out,
    plan_with,
    writing,
)
from service.commands.batch.pool import Job, Tick
from service.commands.batch.running import SourceBatch, emit
from service.commands.cameras import follow_camera, is_camera
from service.commands.console import CommandError, mistakes_explained
from service.commands.films import OverlayVideo, open_file
from service.commands.forms import TRACK_FORMS, write_down
from service.commands.options import (
    Again,
    Device,
    Jobs,
    Key,
    KeyFile,
    MinFacePx,
    MinQuality,
    ModelStore,
    Out,
    Url,
    ask_lines,
    choose_form,
    choose_where,
    result_option,
    told,
)
from service.errors import Problem, ServiceError
from service.options import (
    MIN_FACE_PX,
    MIN_QUALITY,
    SMOOTHING,
    STEADY,
    TRACK_MAX_FACES,
    TRACK_VARIANT,
    TrackKeywords,
)

DRAWN = ".mp4"
VIDEOS = frozenset({".mp4", ".m4v", ".mov"})


@dataclass(frozen=True)
class TrackJob(Job):
    """Clips or a camera into texts of the form `form`, and the files that they fill."""

    how: TrackKeywords
    form: str
    plan: Plan
    seconds: float | None = None

    def work(self, client: Countenance, source: Source, emit: Emit, tick: Tick) -> None:
        """Follow a clip's faces to its end, writing each frame down as it is answered."""
        form = TRACK_FORMS[self.form](source.path)
        text, drawing = self.plan.path(source, f".{self.form}"), self.plan.path(source, DRAWN)
        with ExitStack() as stack:
            write = stack.enter_context(writing(text, form.header, emit))
            video = None if drawing is None else stack.enter_context(_drawing(drawing))
            if source.is_camera:
                lines = follow_camera(client, source, self.how, self.seconds, video)
            else:
                _check_clip(source)
                file = stack.enter_context(open_file(source))
                lines = ask_lines(lambda: client.track_lines(file, **self.how))
                lines = lines if video is None else video.draw(lines, file)
            write_down(lines, form, write, tick)


def _check_clip(source: Source) -> None:
    """Refuse a photograph with the commands that take it; raises ServiceError."""
    if is_photo(source):
        raise ServiceError(
            Problem.NOT_A_CLIP,
            "a photograph: use `countenance align` or `countenance affect`",
        )


@contextmanager
def _drawing(path: Path) -> Iterator[OverlayVideo]:
    """Return what draws frames into the clip's video."""
    if find_spec("cv2") is None:
        raise CommandError(
            "drawing needs pip install 'countenance[models]', even where a service elsewhere "
            "follows the faces"
        )
    with draft_of(path) as draft, OverlayVideo(draft) as video:
        yield video


def track(
    clips: Annotated[
        list[str],
        typer.Argument(help="Clips, folders of them, - for stdin, or a camera's number."),
    ],
    as_csv: Annotated[
        bool,
        result_option("--csv", help="One row a face and frame, with OpenFace's column names."),
    ] = False,
    as_json: Annotated[bool, result_option("--json", help="One JSON object a frame.")] = False,
    out: Out = None,
    overlay: Annotated[
        Path | None,
        result_option(help="The clip with the faces drawn on it, as .mp4; a folder for several."),
    ] = None,
    again: Again = False,
    jobs: Jobs = 1,
    max_faces: Annotated[int, told(TRACK_MAX_FACES)] = TRACK_MAX_FACES.default,
    min_face_px: MinFacePx = MIN_FACE_PX.default,
    min_quality: MinQuality = MIN_QUALITY.default,
    steady: Annotated[bool, told(STEADY)] = STEADY.default,
    smoothing: Annotated[bool, told(SMOOTHING, "--smoothing")] = SMOOTHING.default,
    variant: Annotated[str | None, told(TRACK_VARIANT)] = TRACK_VARIANT.default,
    seconds: Annotated[
        float | None, typer.Option(min=0, help="How long to look through a camera; else Ctrl-C.")
    ] = None,
    url: Url = None,
    key: Key = None,
    key_file: KeyFile = None,
    model_store: ModelStore = None,
    device: Device = None,
) -> None:
    """Follow faces and their 68 landmarks through clips, in pixels of the upright frame."""
    form = choose_form(out, json=as_json, csv=as_csv)
    with mistakes_explained():
        sources = find_clips(clips)
        plan = plan_with(sources, {f".{form}": out}, DRAWN, overlay, VIDEOS)
        how = TrackKeywords(
            max_faces=max_faces,
            min_face_px=min_face_px,
            min_quality=min_quality,
            steady=steady,
            smoothing=smoothing,
            variant=variant,
        )
        where = choose_where(url, key, key_file, model_store, device)
        if out is None:
            emit(TRACK_FORMS[form].header)
        live = any(source.is_camera for source in sources)
        again = again or live or (out is None and form != "text")
        SourceBatch(
            *("clips", sources, plan, out is None, 1 if live else jobs, again),
            unit="frames",
            left_out=left_out(clips, CLIPS),
        ).run(TrackJob(where, how, form, plan, seconds))


def find_clips(names: list[str]) -> list[Source]:
    """Return what the names mean; raises CommandError. A camera goes alone."""
    cameras = [name for name in names if is_camera(name) and not Path(name).is_file()]
    if not cameras:
        return find_sources(names, CLIPS, "clip")
    if len(names) > 1:
        raise CommandError(f"the camera {cameras[0]} goes alone, without other clips")
    return [Source(cameras[0], f"camera-{Path(cameras[0]).name}", is_camera=True)]

"""Clips of the movies in a folder, kept as the simulators' are: shards of videos, and what each clip is beside them."""

from __future__ import annotations

import zlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from physgen.errors import InvalidArgument
from physgen.experiments.movies.cut import OTHER, Cut, check_size, cut_piece, open_movie, part_of
from physgen.experiments.runs.records import digest_of
from physgen.experiments.train.data import SPLITS, Shard, write_shard
from physgen.observables import Observable
from physgen.video import is_video_folder
from physgen.video.read import READERS
from physgen.worlds import WorldSpec


def find_movies(folder: str | Path, caption: str | None) -> dict[Path, str]:
    """The movies of a folder and what each shows: the text of ``NAME.txt`` beside it, else ``caption``.

    A folder of numbered pictures is one movie.

    Raises:
        FileNotFoundError; InvalidArgument for a folder without movies, a movie that nobody says anything of, or a text
            that is not in UTF-8.

    >>> folder = getfixture("tmp_path")
    >>> for name in ("a", "b"):
    ...     np.save(folder / f"{name}.npy", np.zeros((2, 8, 8)))
    >>> _ = (folder / "a.txt").write_text("two colonies of bacteria grow")
    >>> list(find_movies(folder, "a colony grows").values())
    ['two colonies of bacteria grow', 'a colony grows']
    """
    folder = Path(folder).expanduser()
    if not folder.is_dir():
        raise FileNotFoundError(f"data={folder}: no such folder")
    kinds = READERS.keys() - {".png"}  # a picture beside movies
    inside = sorted(path for path in folder.iterdir() if is_video_folder(path) or path.suffix.lower() in kinds)
    movies = [folder] if is_video_folder(folder) else inside
    if not movies:
        raise InvalidArgument("data", str(folder), "a folder of movies: files, or folders of numbered pictures")
    found = {}
    for movie in movies:
        beside = movie.with_name(f"{movie.name if movie.is_dir() else movie.stem}.txt")
        try:
            text = beside.read_text(encoding="utf-8").strip() if beside.is_file() else caption
        except UnicodeDecodeError as error:
            raise InvalidArgument("caption", str(beside), "a text file in UTF-8") from error
        if not text:
            allowed = f"what {movie.name} shows, in words of the world; or a text file {beside.name} beside it"
            raise InvalidArgument("caption", text, allowed)
        found[movie] = text
    return found


def contents(movies: dict[Path, str]) -> dict[str, dict[str, str]]:
    """What each movie shows, and the first 16 digits of the SHA-256 of its file, or of the files in its folder.

    >>> movie = getfixture("tmp_path") / "a.npy"
    >>> movie.write_bytes(b"a movie") and contents({movie: "a colony grows"})
    {'a.npy': {'shows': 'a colony grows', 'digest': '...'}}
    """
    return {movie.name: {"shows": text, "digest": digest_of(movie)} for movie, text in movies.items()}


def check_movies(movies: dict[Path, str], cut: Cut, hold_out: str, spec: WorldSpec) -> str:
    """Family that all movies are read as, after a look at whether there is room in both parts of each.

    Raises:
        InvalidArgument: a caption without a word of a family, captions of several families, a part that there is not,
            or movies that are too short or too small.
    """
    if hold_out not in OTHER:
        raise InvalidArgument("hold_out", hold_out, ", ".join(OTHER))
    families = {text: spec.family(text) for text in movies.values() if spec.recognises(text)}
    for text in movies.values():
        if text not in families:
            words = "; ".join(f"{name}: {', '.join(sorted(spec.words(name)))}" for name in spec.families)
            raise InvalidArgument("caption", text, f"a word that speaks for a family ({words})")
    if len(set(families.values())) > 1:
        raise InvalidArgument("data", families, "movies that are read as one family")
    for path in movies:
        movie = open_movie(path, cut)
        for part in (hold_out, OTHER[hold_out]):
            check_size(part_of(movie, part), cut, spec)
    return families[next(iter(movies.values()))]


def cut_all(movies: dict[Path, str], shards: list[Shard], cut: Cut, hold_out: str, spec: WorldSpec) -> None:
    """Fill the shards that are not there: validation clips from the held-out part, training clips from the other.

    Movies take turns. Beside each shard stands, for each clip, its caption and its `Piece`: where it was cut, and its
    scale.
    """
    missing = [shard for shard in shards if not shard.labels.exists()]
    clips: dict[Shard, list[list[tuple[np.ndarray, dict[str, Any]]]]] = {shard: [] for shard in missing}
    for turn, (path, caption) in enumerate(movies.items() if missing else ()):
        shows = Drawing.of(spec, caption)
        movie = open_movie(path, cut)
        parts = dict(zip(SPLITS, (part_of(movie, OTHER[hold_out]), part_of(movie, hold_out)), strict=True))
        for shard in missing:
            rng = np.random.default_rng([shard.seed, turn, zlib.crc32(shard.split.encode()), shard.index])
            pieces = [cut_piece(parts[shard.split], cut, rng, spec) for _ in range(turn, shard.clips, len(movies))]
            clips[shard].append(
                [
                    (shows(fields), {"caption": caption, "attributes": {}, "parameters": asdict(piece)})
                    for fields, piece in pieces
                ]
            )
    for shard, by_movie in clips.items():
        videos, labels = zip(*(by_movie[i % len(movies)][i // len(movies)] for i in range(shard.clips)), strict=True)
        shard.videos.parent.mkdir(parents=True, exist_ok=True)
        write_shard(shard, np.stack(videos), list(labels))


@dataclass(frozen=True)
class Drawing:
    """Fields ``[T, H, W]`` as a clip ``[3, T, H, W]``, uint8, of the first species and nothing else.

    >>> from physgen.worlds import world_spec
    >>> spec = world_spec("micro")
    >>> draw = Drawing.of(spec, "a golden colony")
    >>> np.round(draw(torch.zeros(25, 64, 64))[:, 0, 0, 0] / 255, 2).tolist()
    [0.1, 0.07, 0.16]
    >>> video = torch.from_numpy(draw(torch.full((25, 64, 64), 0.5))).float() / 255
    >>> abs(float(spec.observable("a golden colony")(video[None]).mean()) - 0.5) < 0.01
    True
    """

    observable: Observable
    empty: Float[Tensor, "1 3 T H W"]

    @classmethod
    def of(cls, spec: WorldSpec, caption: str) -> Drawing:
        """In the colours that a caption names, on the background of its family."""
        background = torch.tensor(spec.families[spec.family(caption)].background).view(1, 3, 1, 1, 1)
        empty = background.expand(1, 3, spec.num_frames, spec.height, spec.width)
        return cls(spec.observable(caption), empty)

    def __call__(self, fields: Float[Tensor, "T H W"]) -> np.ndarray:
        """The clip."""
        shown = torch.zeros(1, len(self.observable.species), *fields.shape)
        shown[0, 0] = fields
        video = self.observable.embed(self.empty, shown)[0].clamp(0, 1)
        return np.asarray((video * 255).round().byte().numpy())

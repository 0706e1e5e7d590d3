"""Every usual way of listing captioned clips gives the same clips; what names none is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from physgen.errors import InvalidArgument
from physgen.video.captioned import read_metadata

UPSTREAM = [
    {"id": "sample_001", "video": "videos/1.mp4", "prompt": 'A "cell", dividing\u2028slowly'},
    {"id": "sample_002", "video": "videos/2.mp4", "prompt": "A heart"},
]


def as_csv(video: str, prompt: str) -> str:
    rows = [",".join(f'"{r[key]}"'.replace('"cell"', '""cell""') for key in ("video", "prompt")) for r in UPSTREAM]
    return "\n".join([f"{video},{prompt}", *rows]) + "\n"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("metadata.json", json.dumps(UPSTREAM)),
        ("metadata.json", "\ufeff" + json.dumps(UPSTREAM, ensure_ascii=False, indent=2)),
        ("metadata.json", json.dumps([{"path": r["video"], "caption": r["prompt"]} for r in UPSTREAM])),
        ("metadata.jsonl", "\n".join(json.dumps(r, ensure_ascii=False) for r in UPSTREAM) + "\n\n"),
        ("metadata.jsonl", "\r\n".join(json.dumps({"file_name": r["video"], "text": r["prompt"]}) for r in UPSTREAM)),
        ("metadata.csv", as_csv("video", "prompt")),
        ("metadata.csv", "\ufeff" + as_csv("file_name", "caption").replace("\n", "\r\n")),
    ],
)
def test_layouts(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_bytes(text.encode())
    clips, skipped = read_metadata(tmp_path)
    assert skipped == []
    assert [(clip.video, clip.path, clip.prompt) for clip in clips] == [
        (record["video"], tmp_path / record["video"], record["prompt"]) for record in UPSTREAM
    ]
    assert clips[0].id == ("sample_001" if "sample_001" in text else "1")


def test_level_and_missing_prompt(tmp_path: Path) -> None:
    records = [{"video": "a.mp4", "level": "organ"}, {"video": "b.mp4", "prompt": " ", "id": 7}]
    (tmp_path / "metadata.json").write_text(json.dumps(records))
    first, second = read_metadata(tmp_path)[0]
    assert (first.id, first.prompt, first.level) == ("a", None, "organ")
    assert (second.id, second.prompt, second.level) == ("7", None, None)


@pytest.mark.parametrize(
    "record", [{}, [], "a.mp4", None, 3, {"video": None}, {"video": ""}, {"video": True}, {"video": ["a"]}]
)
def test_record_that_names_no_video_is_skipped(tmp_path: Path, record: object) -> None:
    (tmp_path / "metadata.json").write_text(json.dumps([record, *UPSTREAM]))
    clips, skipped = read_metadata(tmp_path)
    assert (len(clips), [item.name for item in skipped]) == (2, ["record 1"])


def test_broken_line_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "metadata.jsonl").write_text('{"video": "a.mp4"}\n{"video": \n{"video": "b.mp4"}\n')
    clips, skipped = read_metadata(tmp_path)
    assert ([clip.video for clip in clips], [item.name for item in skipped]) == (["a.mp4", "b.mp4"], ["record 2"])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[",
        b'{"video": "a.mp4"}',
        b"3",
        b"\xff\xfe[]",
        b"[" * 200_000,
        b"version https://git-lfs.github.com/spec/v1",
    ],
)
def test_metadata_that_is_no_list_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "metadata.json").write_bytes(content)
    with pytest.raises(InvalidArgument, match="a list of records"):
        read_metadata(tmp_path)


def test_folder_without_metadata_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"metadata\.json"):
        read_metadata(tmp_path)

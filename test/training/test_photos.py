import re
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from training import photos as module
from training.photos import Photos

NOISE = np.random.default_rng(0).integers(60, 256, (40, 60, 3), dtype=np.uint8)
STORE = get_typestore(Stores.ROS2_JAZZY)
ROS = STORE.types


def write(path: Path, image: np.ndarray = NOISE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), image)
    return path


def frame(index: int) -> np.ndarray:
    """Grey frame that tells its place in a film by its brightness."""
    return np.full((48, 64), 5 * index + 10, np.uint8)


def write_video(path: Path, frames: int) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    assert writer.isOpened()
    for index in range(frames):
        writer.write(cv2.cvtColor(frame(index), cv2.COLOR_GRAY2BGR))
    writer.release()
    return path


def write_recording(folder: Path, frames: int, encoding: str = "mono8") -> Path:
    kind, header = "sensor_msgs/msg/Image", ROS["std_msgs/msg/Header"](ROS["builtin_interfaces/msg/Time"](1, 0), "")
    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection("/camera/image_raw", kind, typestore=STORE)
        for index in range(frames):
            message = ROS[kind](header, 48, 64, encoding, 0, 64, frame(index).ravel())
            writer.write(connection, index * 10**8, STORE.serialize_cdr(message, kind))
    return folder


def brightness(photos: Photos) -> list[int]:
    """Which frames of a film these are."""
    return [round((photos.read(index).mean() - 10) / 5) for index in range(len(photos))]


def probability(photos: Photos) -> dict[str, float]:
    """By the image's file name."""
    return {Path(name).name: share for name, share in zip(photos.names, photos.probability.tolist())}


# --- folders and images -----------------------------------------------------------------------------------------------


def test_images_are_found_in_all_sub_folders_in_a_fixed_order(tmp_path: Path) -> None:
    for name in ("b/2.PNG", "b/1.jpg", "a/deep/3.png"):
        write(tmp_path / name)
    (tmp_path / "a" / "notes.txt").write_text("not an image")
    write(tmp_path / "b" / ".hidden.png")
    photos = Photos.from_sources({str(tmp_path): 1})
    assert photos.names == [str(tmp_path / name) for name in ("a/deep/3.png", "b/1.jpg", "b/2.PNG")]
    assert photos.probability.tolist() == pytest.approx([1 / 3] * 3)


def test_an_image_is_read_as_rgb(tmp_path: Path) -> None:
    path = write(tmp_path / "photo.png")
    photos = Photos.from_sources({str(path): 1})
    assert len(photos) == 1
    assert np.array_equal(photos.read(0), NOISE[..., ::-1])
    gray = Photos.from_sources({str(write(tmp_path / "gray.png", NOISE[..., 0])): 1}).read(0)
    assert gray.dtype == np.uint8
    assert np.array_equal(gray, np.repeat(NOISE[..., :1], 3, axis=2))


def test_photos_are_decoded_once_while_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CACHE_BYTES", 2 * NOISE.nbytes)
    for name in "abc":
        write(tmp_path / f"{name}.png")
    photos = Photos.from_sources({str(tmp_path): 1})
    for index in range(3):
        photos.read(index)
    for name in "abc":
        write(tmp_path / f"{name}.png", np.zeros_like(NOISE))
    assert [photos.read(index).any() for index in range(3)] == [True, True, False]


# --- weights ----------------------------------------------------------------------------------------------------------


def test_a_weight_is_that_of_each_image(tmp_path: Path) -> None:
    write(tmp_path / "many" / "1.png")
    write(tmp_path / "many" / "2.png")
    write(tmp_path / "few" / "3.png")
    photos = Photos.from_sources({str(tmp_path / "many"): 1, str(tmp_path / "few"): 3})
    assert probability(photos) == pytest.approx({"1.png": 0.2, "2.png": 0.2, "3.png": 0.6})


@pytest.mark.parametrize("turn", [1, -1])
def test_an_inner_source_has_its_own_weight_whichever_comes_first(tmp_path: Path, turn: int) -> None:
    for name in ("wall.png", "sky/1.png", "sky/2.png"):
        write(tmp_path / name)
    weights = [(tmp_path, 1.0), (tmp_path / "sky", 0.5), (tmp_path / "sky" / "2.png", 2.0)]
    photos = Photos.from_sources({str(path): weight for path, weight in weights[::turn]})
    assert len(photos) == 3, "no image comes twice"
    assert probability(photos) == pytest.approx({"wall.png": 1 / 3.5, "1.png": 0.5 / 3.5, "2.png": 2 / 3.5})


@pytest.mark.parametrize("weights", [(-1.0, 1.0), (0.0, 0.0)])
def test_negative_weights_and_nothing_but_zeros_are_refused(tmp_path: Path, weights: tuple[float, float]) -> None:
    sources = [str(write(tmp_path / name / "1.png").parent) for name in "ab"]
    with pytest.raises(ValueError, match="weights"):
        Photos.from_sources(dict(zip(sources, weights)))


def test_frames_can_be_mixed_with_photos(tmp_path: Path) -> None:
    write(tmp_path / "1.png")
    write(tmp_path / "2.png")
    mixed = Photos.from_frames([frame(0), frame(1), frame(2)], "own").mixed_with(
        Photos.from_sources({str(tmp_path): 1}), share=0.4
    )
    assert probability(mixed) == pytest.approx({"own#0": 0.2, "own#1": 0.2, "own#2": 0.2, "1.png": 0.2, "2.png": 0.2})
    assert np.array_equal(mixed.read(1)[..., 0], frame(1))
    assert np.array_equal(mixed.read(4), NOISE[..., ::-1])


# --- videos and recordings --------------------------------------------------------------------------------------------


def test_a_video_gives_its_frames(tmp_path: Path) -> None:
    photos = Photos.from_sources({str(write_video(tmp_path / "drive.avi", 7)): 1})
    assert brightness(photos) == list(range(7))
    assert photos.read(0).shape == (48, 64, 3)
    assert len(set(photos.names)) == 7


@pytest.mark.parametrize("inside", [False, True])
def test_a_recording_gives_its_frames(tmp_path: Path, inside: bool) -> None:
    recording = write_recording(tmp_path / "bag", 6)
    source = next(recording.glob("*.mcap")) if inside else recording
    photos = Photos.from_sources({str(source): 1})
    assert brightness(photos) == list(range(6))
    assert np.array_equal(photos.read(3), np.repeat(frame(3)[..., None], 3, axis=2))


def test_everything_can_be_mixed(tmp_path: Path) -> None:
    write(tmp_path / "photos" / "1.png")
    film, bag = write_video(tmp_path / "drive.avi", 4), write_recording(tmp_path / "bag", 3)
    photos = Photos.from_sources({str(tmp_path / "photos"): 2, str(film): 0.5, str(bag): 1})
    assert len(photos) == len(set(photos.names)) == 1 + 4 + 3
    share = {kind: photos.probability[[kind in name for name in photos.names]].sum() for kind in ("photos", "drive")}
    assert share == pytest.approx({"photos": 2 / 7, "drive": 2 / 7})


@pytest.mark.parametrize(
    ("frames", "kept"),
    [(7, range(7)), (8, range(8)), (9, range(0, 9, 2)), (16, range(0, 16, 2)), (40, range(0, 40, 8))],
)
def test_long_films_are_thinned_evenly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, frames: int, kept: range
) -> None:
    monkeypatch.setattr(module, "MAX_FRAMES", 8)
    assert brightness(Photos.from_sources({str(write_video(tmp_path / "long.avi", frames)): 1})) == list(kept)


# --- held-out photos --------------------------------------------------------------------------------------------------


def twenty(drawn: int) -> Photos:
    """Frames of which the last ones are never drawn."""
    probability = np.where(np.arange(20) < drawn, 1 / drawn, 0.0)
    return Photos([str(index) for index in range(20)], probability, [frame(index) for index in range(20)])


@pytest.mark.parametrize("held_out", [1, 2, 7, 11])
def test_a_split_is_disjoint_complete_and_always_the_same(held_out: int) -> None:
    rest, chosen = twenty(12).split(held_out)
    assert len(chosen) == held_out
    assert sorted(brightness(rest) + brightness(chosen)) == list(range(20))
    assert set(brightness(chosen)) <= set(range(12)), "only images that are drawn can be missed"
    assert [str(index) for index in brightness(chosen)] == chosen.names
    assert chosen.names == twenty(12).split(held_out)[1].names
    for part in (rest, chosen):
        assert part.probability.sum() == pytest.approx(1)


def test_the_end_of_a_recording_is_held_out_and_the_others_keep_their_weights() -> None:
    photos = twenty(12)
    photos.probability[:3] *= 5
    rest, chosen = photos.split(4)
    assert brightness(chosen) == [8, 9, 10, 11]
    assert rest.probability[0] == pytest.approx(5 * rest.probability[5])
    assert rest.probability[-1] == 0


def test_held_out_photographs_are_spread(tmp_path: Path) -> None:
    for index in range(12):
        write(tmp_path / f"{index:02}.png")
    _, chosen = Photos.from_sources({str(tmp_path): 1}).split(4)
    assert [Path(name).stem for name in chosen.names] == ["00", "04", "07", "11"]


def test_nothing_held_out_leaves_everything() -> None:
    rest, chosen = twenty(20).split(0)
    assert (len(rest), len(chosen)) == (20, 0)


def test_too_many_held_out_images_are_refused() -> None:
    with pytest.raises(ValueError, match="12 of 12 images: lower validation_photos"):
        twenty(12).split(12)


# --- identity ---------------------------------------------------------------------------------------------------------


def test_the_hash_is_that_of_the_contents_wherever_they_lie(photos: Path, tmp_path: Path) -> None:
    first = Photos.from_sources({str(photos): 1}).hash()
    copy = Path(shutil.copytree(photos, tmp_path / "copy"))
    assert Photos.from_sources({str(copy): 1}).hash() == first
    write(copy / "more.png")
    more = Photos.from_sources({str(copy): 1}).hash()
    write(copy / "more.png", NOISE + 1)
    assert len({first, more, Photos.from_sources({str(copy): 1}).hash()}) == 3
    assert re.fullmatch("[0-9a-f]{64}", first)


def test_the_hash_of_a_recording_is_that_of_its_frames(tmp_path: Path) -> None:
    bags = [write_recording(tmp_path / f"bag{index}", frames) for index, frames in enumerate((3, 3, 4))]
    hashes = [Photos.from_sources({str(bag): 1}).hash() for bag in bags]
    assert hashes[0] == hashes[1] != hashes[2]


# --- what cannot be used ----------------------------------------------------------------------------------------------


def nothing(path: Path) -> None:
    pass


def text(path: Path) -> None:
    path.write_text("this is no film")


def damaged_recording(path: Path) -> None:
    write_recording(path, 3)
    next(path.glob("*.mcap")).write_bytes(b"this is no recording")


def recording_of_an_unknown_encoding(path: Path) -> None:
    write_recording(path, 3, encoding="sepia8")


def recording_without_images(path: Path) -> None:
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        writer.add_connection("/chatter", "std_msgs/msg/String", typestore=STORE)


def empty_recording(path: Path) -> None:
    write_recording(path, 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (nothing, "give 'flight', a folder of images or a pattern"),
        (Path.mkdir, r"no images.*\.jpg"),
        (text, "cannot open the video"),
        (damaged_recording, "cannot read the recording"),
        (recording_of_an_unknown_encoding, "sepia8"),
        (recording_without_images, "no image topic"),
        (empty_recording, "it has no messages"),
    ],
)
def test_a_source_that_cannot_be_used_is_named(tmp_path: Path, photos: Path, make: object, message: str) -> None:
    source = tmp_path / "odd"
    make(source)
    with pytest.raises((FileNotFoundError, ValueError), match=rf"(?s)'{re.escape(str(source))}'.*{message}"):
        Photos.from_sources({str(photos): 1, str(source): 1})


def test_no_sources_at_all_say_what_to_give() -> None:
    with pytest.raises(ValueError, match="--data"):
        Photos.from_sources({})


def test_images_that_cannot_be_read_are_left_out_and_counted(
    tmp_path: Path, photos: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = Path(shutil.copytree(photos, tmp_path / "photos"))
    count = len(Photos.from_sources({str(folder): 1}))
    (folder / "broken.png").write_text("this is no image")
    (folder / "cut.png").write_bytes(cv2.imencode(".png", np.zeros((40, 40), np.uint8))[1].tobytes()[:60])
    assert len(Photos.from_sources({str(folder): 1})) == count
    assert f"2 of {count + 2} images left out" in caplog.text and "broken.png" in caplog.text


def test_an_image_that_is_damaged_later_is_named(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((40, 40), np.uint8))
    photos = Photos.from_sources({str(tmp_path): 1})
    (tmp_path / "a.png").write_text("this is no image")
    with pytest.raises(ValueError, match=r"a\.png': it is damaged.*remove or replace"):
        photos.read(0)

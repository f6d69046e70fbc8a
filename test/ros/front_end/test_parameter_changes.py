"""Parameters of a running node, set over DDS while images flow."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from harness import Graph, camera_info, image_message, picture
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import Parameter as ParameterMessage
from rcl_interfaces.msg import ParameterValue
from rcl_interfaces.srv import DescribeParameters, GetParameters, SetParameters, SetParametersAtomically
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

from silk_ros.parameters import settings
from silk_ros.parameters.configuration import Configuration
from silk_ros.paths import default_model
from silk_ros.ros.front_end import parameter_changes
from silk_ros.ros.messages import features_from_cloud, points_from_cloud


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A folder with a model that may be loaded at run time and one that cannot be."""
    folder = tmp_path / "models"
    folder.mkdir()
    shutil.copy(default_model(), folder / "good.onnx")
    (folder / "bad.onnx").write_bytes(default_model().read_bytes()[:5000])
    return folder


def test_filter_changes_between_two_images_and_keeps_the_tracks(graph: Graph) -> None:
    noise = np.random.default_rng(0).integers(0, 20, (120, 160), np.uint8)
    graph.send(image_message(picture(), stamp=1.0))
    assert graph.set_parameters(**{"matcher.min_similarity": 0.9}) == [""]
    _, strict = graph.send(image_message(picture() // 2 + noise, stamp=2.0))
    assert graph.set_parameters(**{"matcher.min_similarity": -1.0}) == [""]
    _, loose = graph.send(image_message(picture(), stamp=3.0))
    strict, loose = points_from_cloud(strict), points_from_cloud(loose)
    assert 0 < len(strict) < len(loose)
    assert strict["similarity"].min() >= 0.9 > loose["similarity"].min()
    assert set(strict["track_id"]) & set(loose["track_id"])


def test_more_keypoints_and_another_format_take_effect(graph: Graph) -> None:
    assert graph.send(image_message(picture(), stamp=1.0))[0].width == 200
    assert graph.set_parameters(max_keypoints=300, descriptor_format="binary256") == ["", ""]
    cloud, _ = graph.send(image_message(picture(), stamp=2.0))
    assert cloud.width == 300 and cloud.point_step == 28 + 32


def test_region_of_interest_leaves_keypoints_in_pixels_of_the_whole_image(graph: Graph) -> None:
    assert graph.set_parameters(**{"roi.x": 40, "roi.y": 30, "roi.width": 60, "roi.height": 50}) == [""] * 4
    keypoints = features_from_cloud(graph.send(image_message(picture(), stamp=1.0))[0]).keypoints
    assert (keypoints.min(axis=0) >= [43, 33]).all() and (keypoints.max(axis=0) <= [96, 76]).all()
    (reason,) = graph.set_parameters(**{"roi.x": 150})
    assert "not inside an image of 160x120" in reason


def test_image_that_does_not_hold_the_region_of_interest_is_rejected(make_graph: Callable[..., Graph]) -> None:
    graph = make_graph(**{"roi.x": 150, "roi.width": 60})
    graph.wait_for_count("rejected_images", lambda: graph.images.publish(image_message(picture(), stamp=2.0)))
    assert "region of interest" in graph.diagnostics["last_error"]


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"image_transport": "compressed"}, "deactivate"),
        ({"image_reliability": "reliable"}, "read-only"),
        ({"precision": "fp3"}, "choose one of"),
        ({"scale": 9.0}, "scale is out of its range, 0.1 to 4: 9 was given"),
        ({"scale": "half"}, "scale takes a value of type float, not 'half'"),
        ({"scale": 1}, "scale takes a value of type float, not 1: write 1.0"),
        ({"matcher.radius": 40}, "a share of the image's width, 0 (off) to 1, not 40"),
        ({"scales": 1.0}, "no parameter 'scales': did you mean scale"),
        ({"matcher.double_softmax": 0.5, "matcher.ratio": 0.8}, "alternatives"),
        ({"selection.cell_size": 32.0}, "belong together"),
        ({"model_path": "/etc/passwd"}, "model_dirs"),
    ],
)
def test_change_that_cannot_be_is_refused_whole_with_the_reason(graph: Graph, change: dict, reason: str) -> None:
    before = graph.node._changes.settings
    result = graph.set_atomically(max_published=50, **change)
    assert not result.successful and reason in result.reason
    assert graph.node._changes.settings == before
    assert graph.send(image_message(picture()))[0].width == 200


def test_values_that_belong_together_are_set_at_once(graph: Graph) -> None:
    def most_of_a_cell() -> int:
        cells = np.floor((features_from_cloud(graph.send(image_message(picture()))[0]).keypoints + 0.5) / 32)
        return int(np.unique(cells, axis=0, return_counts=True)[1].max())

    before = most_of_a_cell()
    change = {"selection.cell_size": 32.0, "selection.max_per_cell": 3}
    assert graph.set_atomically(**change).successful
    assert most_of_a_cell() < before


def test_the_border_is_free_from_the_next_image_on(graph: Graph) -> None:
    image = picture()
    graph.set_atomically(**{"selection.border": 19.0})
    keypoints = features_from_cloud(graph.send(image_message(image))[0]).keypoints
    assert len(keypoints) == 200 and keypoints.min() >= 19
    assert (keypoints <= np.array(image.shape[1::-1]) - 20).all()


def test_model_is_swapped_between_two_images_and_none_is_lost(
    make_graph: Callable[..., Graph], models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = make_graph(model_dirs=[str(models)])
    loading, go_on = threading.Event(), threading.Event()
    load = settings.NetworkSettings.load

    def slow_load(network: settings.NetworkSettings) -> object:
        loading.set()
        assert go_on.wait(20)
        return load(network)

    monkeypatch.setattr(settings.NetworkSettings, "load", slow_load)
    graph.send(image_message(picture(), stamp=1.0))
    answer = graph.ask_to_set(model_path=str(models / "good.onnx"))
    graph.spin_until(loading.is_set)
    old = graph.node._worker.configuration.extractor
    for second in range(2, 12):  # one at a time: each has to be there before the next is sent
        graph.send_once(image_message(picture(shift=second), stamp=float(second)))
    told = len(graph.history)
    graph.spin_until(lambda: len(graph.history) > told + 2)  # diagnostics go on too
    assert not answer.done() and graph.node._worker.configuration.extractor is old
    go_on.set()
    second = 11
    while not answer.done() or second < 20:  # across the swap, and after it
        second += 1
        graph.send_once(image_message(picture(shift=second % 20), stamp=float(second)))
    assert answer.result().results[0].successful
    graph.send_once(image_message(picture(), stamp=second + 1.0))
    stamps = [cloud.header.stamp.sec for cloud in graph.features]
    assert sorted(set(stamps)) == list(range(1, second + 2))
    matches = [cloud.width for cloud in graph.matches if cloud.header.stamp.sec > 1]
    assert matches.count(0) == 1  # descriptors of two networks do not compare
    assert graph.node._worker.configuration.extractor.backend.model == models / "good.onnx"


def test_bad_model_is_refused_while_the_old_one_runs_on(make_graph: Callable[..., Graph], models: Path) -> None:
    graph = make_graph(model_dirs=[str(models)])
    graph.send(image_message(picture(), stamp=1.0))
    (reason,) = graph.set_parameters(model_path=str(models / "bad.onnx"))
    assert "not a usable ONNX file" in reason
    (reason,) = graph.set_parameters(model_path=str(models / "none.onnx"))
    assert "no model file" in reason
    assert graph.send(image_message(picture(shift=2), stamp=2.0))[1].width > 50
    request = GetParameters.Request(names=["model_path"])
    assert graph.call(GetParameters, "/silk/get_parameters", request).values[0].string_value == ""


def test_model_that_fails_on_the_images_that_come_is_refused(
    make_graph: Callable[..., Graph], models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = make_graph(model_dirs=[str(models)])
    graph.send(image_message(picture(), stamp=1.0))

    def fail(configuration: Configuration, shape: tuple[int, ...]) -> None:
        assert shape == (120, 160)
        raise RuntimeError("out of memory")

    monkeypatch.setattr(Configuration, "warm_up", fail)
    assert graph.set_parameters(model_path=str(models / "good.onnx")) == ["out of memory"]
    assert graph.send(image_message(picture(shift=2), stamp=2.0))[1].width > 50


@pytest.mark.parametrize(
    "change", [{"model_dirs": ["/"]}, {"scale": 99.0}, {"max_keypoints": "many"}, {"image_reliability": "reliable"}]
)
def test_nothing_is_loaded_for_a_change_that_cannot_be(
    graph: Graph, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict
) -> None:
    shutil.copy(default_model(), tmp_path / "outside.onnx")
    graph.send(image_message(picture()))
    loaded: list[object] = []
    monkeypatch.setattr(settings.NetworkSettings, "load", loaded.append)
    assert not graph.set_atomically(model_path=str(tmp_path / "outside.onnx"), **change).successful
    assert not graph.set_atomically(threads=1, **change).successful
    assert not loaded


def test_change_is_checked_and_converted_once(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    converted: list[object] = []
    convert = parameter_changes.settings_from
    monkeypatch.setattr(
        parameter_changes, "settings_from", lambda values: (converted.append(values["scale"]), convert(values))[1]
    )
    graph.send(image_message(picture(), stamp=1.0))
    graph.set_parameters(scale=0.7)
    graph.set_parameters(**{"matcher.ratio": 0.9})
    assert converted == [0.7, 0.7]
    assert graph.node._worker.configuration.settings.front_end.ratio == 0.9


@pytest.mark.parametrize("atomically", [False, True])
def test_request_that_is_no_parameter_is_refused_and_the_node_lives_on(graph: Graph, atomically: bool) -> None:
    nonsense = ParameterMessage(name="scale", value=ParameterValue(type=10))
    if atomically:
        request = SetParametersAtomically.Request(parameters=[nonsense])
        result = graph.call(SetParametersAtomically, "/silk/set_parameters_atomically", request).result
    else:
        (result,) = graph.call(
            SetParameters, "/silk/set_parameters", SetParameters.Request(parameters=[nonsense])
        ).results
    assert not result.successful and "10" in result.reason
    assert graph.send(image_message(picture()))[0].width == 200


def test_simulated_clock_is_not_switched_on_at_run_time(graph: Graph) -> None:
    (reason,) = graph.set_parameters(use_sim_time=True)
    assert "read-only" in reason


def test_other_services_answer_while_a_network_is_loaded(graph: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    loading, go_on = threading.Event(), threading.Event()
    load = settings.NetworkSettings.load
    monkeypatch.setattr(
        settings.NetworkSettings, "load", lambda network: (loading.set(), go_on.wait(20), load(network))[2]
    )
    graph.deliver(image_message(picture(), stamp=1.0), "/image_raw")  # once: no repeat follows the reset
    answer = graph.ask_to_set(scale=0.7)
    graph.spin_until(loading.is_set)
    assert graph.call(Trigger, "/silk/reset", Trigger.Request()).success
    assert graph.send(image_message(picture(), stamp=2.0))[1].width == 0
    deactivate = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_DEACTIVATE))
    cleanup = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_CLEANUP))
    assert graph.call(ChangeState, "/silk/change_state", deactivate).success
    assert graph.call(ChangeState, "/silk/change_state", cleanup).success
    go_on.set()
    graph.spin_until(answer.done)
    assert answer.result().results[0].successful and graph.node._changes._pending is None
    for transition in (Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE):
        request = ChangeState.Request(transition=Transition(id=transition))
        assert graph.call(ChangeState, "/silk/change_state", request).success
    graph.send(image_message(picture(), stamp=3.0))
    assert graph.node._worker.configuration.extractor.scale == 0.7


def test_change_that_needs_an_inactive_node_is_refused_if_that_is_activated_meanwhile(
    make_graph: Callable[..., Graph], monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = make_graph()
    for transition in (Transition.TRANSITION_DEACTIVATE,):
        request = ChangeState.Request(transition=Transition(id=transition))
        assert graph.call(ChangeState, "/silk/change_state", request).success
    loading, go_on, loads = threading.Event(), threading.Event(), []
    load = settings.NetworkSettings.load

    def slow_load(network: settings.NetworkSettings) -> object:
        loads.append(threading.current_thread().name)
        loading.set()
        assert go_on.wait(20)
        return load(network)

    monkeypatch.setattr(settings.NetworkSettings, "load", slow_load)
    client = graph._client(SetParametersAtomically, "/silk/set_parameters_atomically")
    messages = [
        Parameter("scale", value=0.7).to_parameter_msg(),
        Parameter("image_transport", value="compressed").to_parameter_msg(),
    ]
    answer = client.call_async(SetParametersAtomically.Request(parameters=messages))
    graph.spin_until(loading.is_set)
    activate = ChangeState.Request(transition=Transition(id=Transition.TRANSITION_ACTIVATE))
    assert graph.call(ChangeState, "/silk/change_state", activate).success
    go_on.set()
    graph.spin_until(answer.done)
    result = answer.result().result
    assert not result.successful and "deactivate it first" in result.reason
    assert graph.node._worker.configuration.extractor.scale != 0.7
    assert graph.set_parameters(scale=0.7) == [""] and loads == ["silk-load"] * 2


def test_mask_file_that_is_gone_does_not_stop_other_changes(make_graph: Callable[..., Graph], tmp_path: Path) -> None:
    mask = np.zeros((120, 160), np.uint8)
    mask[:, :80] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    graph = make_graph(mask_file=str(tmp_path / "mask.png"))
    assert features_from_cloud(graph.send(image_message(picture(), stamp=1.0))[0]).keypoints[:, 0].max() < 79.5
    (tmp_path / "mask.png").unlink()
    assert graph.set_parameters(max_published=20) == [""]
    cloud, _ = graph.send(image_message(picture(), stamp=2.0))
    assert cloud.width == 20 and features_from_cloud(cloud).keypoints[:, 0].max() < 79.5


def test_link_out_of_the_model_folders_is_refused(
    make_graph: Callable[..., Graph], models: Path, tmp_path: Path
) -> None:
    shutil.copy(default_model(), tmp_path / "outside.onnx")
    (models / "link.onnx").symlink_to(tmp_path / "outside.onnx")
    graph = make_graph(model_dirs=[str(models)])
    (reason,) = graph.set_parameters(model_path=str(models / "link.onnx"))
    assert "model_dirs" in reason
    assert graph.set_parameters(model_path=str(default_model())) == [""]  # the shipped ones are always allowed


def test_unknown_names_and_removals_are_refused_and_the_node_lives_on(graph: Graph) -> None:
    (reason,) = graph.set_parameters(max_keypionts=5)
    assert reason
    (reason,) = graph.set_parameters(max_keypoints=None)
    assert reason
    assert graph.send(image_message(picture()))[0].width == 200


def test_descriptions_say_when_a_parameter_changes(graph: Graph) -> None:
    names = ["scale", "image_transport", "model_dirs"]
    descriptors = graph.call(
        DescribeParameters, "/silk/describe_parameters", DescribeParameters.Request(names=names)
    ).descriptors
    ends = ["at run time", "not active", "at start only"]
    assert all(end in descriptor.description for end, descriptor in zip(ends, descriptors))


def test_mask_topic_leaves_keypoints_out(graph: Graph) -> None:
    mask = np.zeros((120, 160), np.uint8)
    mask[:, 80:] = 255
    graph.infos.publish(camera_info())

    def send() -> None:
        graph.masks.publish(image_message(mask))
        graph.images.publish(image_message(picture()))

    graph.spin_until(lambda: graph.features and 0 < graph.features[-1].width < 200, send)
    assert points_from_cloud(graph.features[-1])["u"].min() >= 79.5


def test_mask_of_another_size_is_reported_and_not_used(graph: Graph) -> None:
    def send() -> None:
        graph.masks.publish(image_message(np.ones((60, 80), np.uint8)))
        graph.images.publish(image_message(picture()))

    graph.wait_for_count("frames_without_mask", send)
    assert "80x60" in graph.diagnostics["last_error"]
    graph.spin_until(lambda: graph.features)
    assert graph.features[-1].width == 200

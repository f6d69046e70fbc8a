"""The managed node over DDS: transitions by their services, with and without autostart."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable

import pytest
from harness import DEADLINE, Graph, image_message, picture
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState

from silk_ros.ros import silk_node


def state(graph: Graph) -> int:
    return graph.call(GetState, "/silk/get_state", GetState.Request()).current_state.id


def change(graph: Graph, transition: int) -> bool:
    request = ChangeState.Request(transition=Transition(id=transition))
    return graph.call(ChangeState, "/silk/change_state", request).success


def test_node_is_active_by_itself(graph: Graph) -> None:
    assert state(graph) == State.PRIMARY_STATE_ACTIVE
    graph.send(image_message(picture()))


def test_manager_leads_the_node_through_all_states(make_graph: Callable[..., Graph]) -> None:
    graph = make_graph(autostart=False)
    assert state(graph) == State.PRIMARY_STATE_UNCONFIGURED
    graph.spin_until(lambda: graph.summary == "unconfigured")
    assert not graph.peer.get_subscriptions_info_by_topic("/image_raw")
    assert change(graph, Transition.TRANSITION_CONFIGURE)
    assert state(graph) == State.PRIMARY_STATE_INACTIVE
    graph.spin_until(lambda: graph.summary == "inactive" and graph.diagnostics["backend"])
    assert change(graph, Transition.TRANSITION_ACTIVATE)
    graph.send(image_message(picture(), stamp=1.0))

    assert change(graph, Transition.TRANSITION_DEACTIVATE)
    graph.spin_until(lambda: not graph.peer.get_subscriptions_info_by_topic("/image_raw"))
    assert change(graph, Transition.TRANSITION_ACTIVATE)
    graph.spin_until(lambda: graph.peer.get_subscriptions_info_by_topic("/image_raw"))
    assert graph.send(image_message(picture(), stamp=2.0))[1].width == 0  # the frames before the pause are forgotten

    assert change(graph, Transition.TRANSITION_DEACTIVATE)
    assert change(graph, Transition.TRANSITION_CLEANUP)
    assert state(graph) == State.PRIMARY_STATE_UNCONFIGURED
    graph.spin_until(lambda: not graph.peer.get_publishers_info_by_topic("/silk/features"))
    assert change(graph, Transition.TRANSITION_CONFIGURE) and change(graph, Transition.TRANSITION_ACTIVATE)
    graph.send(image_message(picture(), stamp=3.0))
    assert change(graph, Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert state(graph) == State.PRIMARY_STATE_FINALIZED


def test_transition_that_the_state_does_not_have_is_refused_and_the_node_lives_on(graph: Graph) -> None:
    assert not change(graph, Transition.TRANSITION_CONFIGURE)
    assert not change(graph, 77)
    request = ChangeState.Request(transition=Transition(label="nonsense"))
    assert not graph.call(ChangeState, "/silk/change_state", request).success
    graph.send(image_message(picture()))


def test_configuring_with_a_bad_model_fails_and_can_be_tried_again(make_graph: Callable[..., Graph]) -> None:
    graph = make_graph(autostart=False, model_path="/no/such.onnx")
    assert not change(graph, Transition.TRANSITION_CONFIGURE)
    assert state(graph) == State.PRIMARY_STATE_UNCONFIGURED
    assert graph.set_parameters(model_path="") == [""]
    assert change(graph, Transition.TRANSITION_CONFIGURE) and change(graph, Transition.TRANSITION_ACTIVATE)
    graph.send(image_message(picture()))


def test_unmanaged_process_waits_unconfigured_and_ends_cleanly(
    make_graph: Callable[..., Graph], spawn: Callable[..., subprocess.Popen[str]]
) -> None:
    process = spawn("silk_node", "--ros-args", "-r", "__ns:=/other", "-p", "autostart:=false")
    graph = make_graph()
    answer = graph.call(GetState, "/other/silk/get_state", GetState.Request())
    assert answer.current_state.id == State.PRIMARY_STATE_UNCONFIGURED
    process.terminate()
    _, errors = process.communicate(timeout=DEADLINE)
    assert process.returncode == 0 and "Traceback" not in errors, errors


def test_activation_that_fails_says_why_and_can_be_tried_again(
    make_graph: Callable[..., Graph], monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = make_graph(autostart=False)
    assert change(graph, Transition.TRANSITION_CONFIGURE)

    def fail(*_: object) -> None:
        raise RuntimeError("no such quality of service")

    with monkeypatch.context() as patch:
        patch.setattr(silk_node, "Inputs", fail)
        assert not change(graph, Transition.TRANSITION_ACTIVATE)
    assert state(graph) == State.PRIMARY_STATE_INACTIVE
    assert change(graph, Transition.TRANSITION_ACTIVATE)
    graph.send(image_message(picture()))


def test_bad_override_of_the_qos_ends_the_start_with_its_name(spawn: Callable[..., subprocess.Popen[str]]) -> None:
    override = "qos_overrides./image_raw.subscription.reliability:=relaible"
    process = spawn("silk_node", "--ros-args", "-p", override)
    _, errors = process.communicate(timeout=DEADLINE)
    assert process.returncode == 1 and "cannot start" in errors and "relaible" in errors, errors


def test_frame_that_is_under_way_is_not_published_after_deactivation(
    graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph.send(image_message(picture(), stamp=1.0))
    extracting, go_on = threading.Event(), threading.Event()
    backend = graph.node._worker.configuration.extractor.backend
    extract = backend.extract
    monkeypatch.setattr(backend, "extract", lambda image: (extracting.set(), go_on.wait(20), extract(image))[2])
    graph.spin_until(extracting.is_set, lambda: graph.images.publish(image_message(picture(), stamp=2.0)))
    assert change(graph, Transition.TRANSITION_DEACTIVATE)  # does not wait for the frame
    go_on.set()
    graph.wait_for_count("ignored_frames")
    assert {cloud.header.stamp.sec for cloud in graph.features} == {1}  # each of how many times it was sent

from __future__ import annotations

import os
import time

from silk_ros.ros.demo.answers import FEATURES, IMAGES, MATCHES, ODOMETRY, Answers, cpu_seconds, silence


def test_an_image_is_answered_once_when_everything_has_come_in_any_order() -> None:
    answers = Answers(clouds=2)
    assert answers.silent() == "image_player"
    assert not any(answers.add(stage, 7) for stage in (IMAGES, ODOMETRY, MATCHES, FEATURES))
    assert answers.answered == 0 and answers.silent() == "odometry_node"  # of two clouds one is answered
    assert answers.add(ODOMETRY, 7) and not answers.add(ODOMETRY, 7)
    assert (answers.answered, answers.last, answers.silent()) == (1, 7, "image_player")
    answers.add(IMAGES, 8)
    assert answers.silent() == "silk_node"
    assert answers.counts() == {IMAGES: 2, FEATURES: 1, MATCHES: 1, ODOMETRY: 1}


def test_the_error_says_what_arrived_who_is_silent_and_what_to_do() -> None:
    answers = Answers(clouds=1)
    answers.add(IMAGES, 7)
    text = silence("silk_node", answers, 30.0, 0.97, "")
    assert "images 1, features 0, matches 0, odometry 0" in text and "nothing new for 30 s" in text
    assert "silk_node is silent and used 97% of a processor core" in text and "--max-keypoints" in text
    assert "its log above" in silence("silk_node", answers, 30.0, 0.0, "")
    assert "the image is too small" in silence("silk_node", answers, 30.0, 0.0, "the image is too small")


def test_processor_time_of_a_process_grows_while_it_works() -> None:
    before, end = cpu_seconds(os.getpid()), time.process_time() + 0.1
    while time.process_time() < end:
        pass
    assert cpu_seconds(os.getpid()) > before
    assert cpu_seconds(2**22 + 1) == 0.0  # no such process

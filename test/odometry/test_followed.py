from silk_ros.odometry.followed import Followed


def test_the_first_camera_is_followed_and_the_others_are_named() -> None:
    followed = Followed(patience=5.0)
    assert [followed.take(name, index / 10) for index, name in enumerate(["front", "rear", "front", ""])] == [
        True,
        False,
        True,
        False,
    ]
    assert followed.frame_id == "front"
    assert "'front' is followed, '', 'rear' left out" in followed.problem(0.5)
    assert "of its own" in followed.problem(0.5) and not followed.problem(6.0)


def test_another_is_followed_when_the_first_one_has_stopped() -> None:
    followed = Followed(patience=5.0)
    followed.take("front", 0.0)
    assert not followed.take("rear", 4.0) and followed.take("rear", 6.0)
    assert followed.frame_id == "rear" and not followed.problem(6.0)
    assert not followed.take("front", 7.0) and "'rear' is followed, 'front'" in followed.problem(7.0)


def test_one_camera_is_followed_through_a_pause() -> None:
    followed = Followed(patience=5.0)
    assert followed.take("", 0.0) and followed.take("", 100.0) and not followed.problem(100.0)

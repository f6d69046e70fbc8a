from silk_ros.ros.change_log import ChangeLog


def test_repeats_are_logged_once_and_changes_at_once() -> None:
    lines: list[str] = []
    log = ChangeLog(lines.append)
    for _ in range(5):
        log.report("image", "too small")
    log.report("image", "unknown encoding")
    log.report("stamp", "zero")
    assert lines == ["too small", "unknown encoding", "zero"]


def test_a_lasting_problem_is_logged_again_after_a_while() -> None:
    lines: list[str] = []
    log = ChangeLog(lines.append, repeat_after=0.0)
    log.report("image", "too small")
    log.report("image", "too small")
    assert len(lines) == 2

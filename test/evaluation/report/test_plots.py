import cv2
import numpy as np

from silk_ros.evaluation.report.plots import draw_curve, draw_trajectories, method_styles
from silk_ros.evaluation.report.report import GROUND_TRUTH
from silk_ros.evaluation.results import Curve


def decoded(png: bytes) -> np.ndarray:
    image = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return image


def has_colour(png: bytes, colour: str) -> bool:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return bool((np.abs(decoded(png).astype(int) - (blue, green, red)) <= 8).all(axis=2).sum() > 30)


def test_methods_differ_in_colour_and_marker_and_networks_stand_out() -> None:
    names = ["SiLK", "mine", "SIFT", "ORB", "AKAZE", "XFeat", "ALIKED", "DISK", "other"]
    styles = method_styles(names, {"SiLK", "mine"})
    assert len({style.colour for style in styles.values()}) == len({style.marker for style in styles.values()}) == 9
    assert min(styles[name].width for name in names[:2]) > max(styles[name].width for name in names[2:])


def test_a_peer_has_the_same_colour_in_every_report() -> None:
    alone, among = method_styles(["SIFT"], set()), method_styles(["SiLK", "ORB", "SIFT"], {"SiLK"})
    assert alone["SIFT"].colour == among["SIFT"].colour


def test_lines_have_the_colours_of_their_methods_whatever_the_variant() -> None:
    styles = method_styles(["SiLK", "SIFT", "ORB"], {"SiLK"})
    lines = {"SiLK · scale 0.5": ([1.0, 2.0], [0.1, 0.3]), "SIFT": ([1.0, 2.0], [0.2, 0.2])}
    png = draw_curve(Curve("MMA", "threshold [px]", "MMA", lines), styles)
    assert has_colour(png, styles["SiLK"].colour) and has_colour(png, styles["SIFT"].colour)
    assert not has_colour(png, styles["ORB"].colour)


def test_plots_are_light_or_dark() -> None:
    curve = Curve("MMA", "threshold", "MMA", {"SIFT": ([1.0, 2.0], [0.2, 0.2])})
    light, dark = (decoded(draw_curve(curve, {}, dark)).mean() for dark in (False, True))
    assert light > 220 and dark < 50


def test_values_that_are_not_finite_leave_a_gap() -> None:
    decoded(draw_curve(Curve("ATE", "top-k", "ATE [m]", {"SIFT": ([1.0, 2.0, 3.0], [np.inf, np.nan, 1.0])}), {}))
    decoded(draw_curve(Curve("ATE", "top-k", "ATE [m]", {"SIFT": ([1.0], [np.inf])}), {}))


def test_trajectories_show_every_method_and_the_true_path() -> None:
    truth = [[0.1 * i, 0.0, 0.0, float(i), 0, 0, 0, 1] for i in range(10)]
    styles = method_styles(["SiLK", "SIFT"], {"SiLK"})
    drifted = [[row[0], 1.0, *row[2:]] for row in truth]
    png = draw_trajectories({GROUND_TRUTH: truth, "SiLK": truth, "SIFT": drifted}, styles)
    assert has_colour(png, styles["SiLK"].colour) and has_colour(png, styles["SIFT"].colour)

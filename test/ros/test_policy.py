"""The policy for SROS 2 grants what the node uses: a name that is missing there is denied on a secured graph."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

from harness import ROOT, Graph

POLICY = ElementTree.parse(ROOT / "config" / "silk_policy.xml").getroot()
ENCLAVE = "/silk"


def granted(kind: str, right: str) -> set[str]:
    """The full names of topics or services that the profile of the node may use in one way."""
    (profile,) = POLICY.iter("profile")
    assert (profile.get("ns"), profile.get("node")) == ("/", "silk")
    names = [item.text or "" for group in profile.iter(kind) if group.get(right) == "ALLOW" for item in group]
    assert len(names) == len(set(names))
    full = [name if name[0] == "/" else f"/silk{name[1:]}" if name[0] == "~" else f"/{name}" for name in names]
    return set(full)


def wait_until_known(graph: Graph) -> None:
    """What a node has is known only after a while, to itself too."""
    node = graph.node
    graph.spin_until(
        lambda: (
            "/image_raw" in dict(node.get_subscriber_names_and_types_by_node("silk", "/"))
            and "/silk/matches" in dict(node.get_publisher_names_and_types_by_node("silk", "/"))
            and "/silk/reset" in dict(node.get_service_names_and_types_by_node("silk", "/"))
        )
    )
    graph.wait_for_node()


def test_it_is_of_the_documented_enclave_and_denies_nothing_else() -> None:
    assert (POLICY.tag, POLICY.get("version")) == ("policy", "0.2.0")
    assert [enclave.get("path") for enclave in POLICY.iter("enclave")] == [ENCLAVE]
    assert f"--enclave {ENCLAVE}\n" in (ROOT / "docs" / "security.md").read_text()
    assert all("*" not in (element.text or "") for element in POLICY.iter())


def test_all_that_the_node_does_is_granted(graph: Graph) -> None:
    node = graph.node
    wait_until_known(graph)
    published = {name for name, _ in node.get_publisher_names_and_types_by_node("silk", "/")}
    subscribed = {name for name, _ in node.get_subscriber_names_and_types_by_node("silk", "/")}
    served = {name for name, _ in node.get_service_names_and_types_by_node("silk", "/")}
    assert {"/silk/features", "/silk/matches"} <= published and "/image_raw" in subscribed and "/silk/reset" in served
    assert published <= granted("topics", "publish")
    assert subscribed <= granted("topics", "subscribe")
    assert served <= granted("services", "reply")
    assert not granted("services", "request")
    assert not {name for name, _ in node.get_client_names_and_types_by_node("silk", "/")}


def test_nothing_is_granted_that_the_node_does_not_have(graph: Graph) -> None:
    """Besides what it has in other modes: stereo, compressed images, a simulated clock, a managed node."""
    node = graph.node
    wait_until_known(graph)
    served = {name for name, _ in node.get_service_names_and_types_by_node("silk", "/")}
    published = {name for name, _ in node.get_publisher_names_and_types_by_node("silk", "/")}
    subscribed = {name for name, _ in node.get_subscriber_names_and_types_by_node("silk", "/")}
    optional_inputs = {f"/{side}/{name}" for side in ("left", "right") for name in ("image_raw", "camera_info")}
    optional_inputs |= {f"/{side}image_raw/compressed" for side in ("", "left/", "right/")} | {"/mask", "/clock"}
    lifecycle = {"change_state", "get_state", "get_available_states", "get_available_transitions"}
    lifecycle |= {"get_transition_graph"}
    assert granted("topics", "subscribe") - subscribed <= optional_inputs
    assert granted("topics", "publish") - published <= {"/silk/stereo_matches", "/silk/transition_event"}
    assert granted("services", "reply") - served <= {f"/silk/{name}" for name in lifecycle}

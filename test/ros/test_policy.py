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


class Known:
    """What the graph knows of the node. It learns late, of the node and of the end of one before with the same name."""

    def __init__(self, graph: Graph) -> None:
        node = graph.node
        self.published = {name for name, _ in node.get_publisher_names_and_types_by_node("silk", "/")}
        self.subscribed = {name for name, _ in node.get_subscriber_names_and_types_by_node("silk", "/")}
        self.served = {name for name, _ in node.get_service_names_and_types_by_node("silk", "/")}
        self.asked = {name for name, _ in node.get_client_names_and_types_by_node("silk", "/")}

    @property
    def complete(self) -> bool:
        seen = {"/silk/features", "/silk/matches"} <= self.published and "/image_raw" in self.subscribed
        return seen and "/silk/reset" in self.served


def test_it_is_of_the_documented_enclave_and_denies_nothing_else() -> None:
    assert (POLICY.tag, POLICY.get("version")) == ("policy", "0.2.0")
    assert [enclave.get("path") for enclave in POLICY.iter("enclave")] == [ENCLAVE]
    assert f"--enclave {ENCLAVE}\n" in (ROOT / "docs" / "security.md").read_text()
    assert all("*" not in (element.text or "") for element in POLICY.iter())


def test_all_that_the_node_does_is_granted(graph: Graph) -> None:
    def is_granted() -> bool:
        known = Known(graph)
        return (
            known.complete
            and known.published <= granted("topics", "publish")
            and known.subscribed <= granted("topics", "subscribe")
            and known.served <= granted("services", "reply")
            and not known.asked
        )

    graph.spin_until(is_granted)
    assert not granted("services", "request")


def test_nothing_is_granted_that_the_node_does_not_have(graph: Graph) -> None:
    """Besides what it has in other modes: stereo, compressed images, a simulated clock."""
    optional = {f"/{side}/{name}" for side in ("left", "right") for name in ("image_raw", "camera_info")}
    optional |= {f"/{side}image_raw/compressed" for side in ("", "left/", "right/")} | {"/clock"}

    def is_had() -> bool:
        known = Known(graph)
        return (
            granted("topics", "subscribe") - known.subscribed <= optional
            and granted("topics", "publish") <= known.published
            and granted("services", "reply") <= known.served
        )

    graph.spin_until(is_had)

"""The XPath that is asked of a CIB."""

import xml.etree.ElementTree as ET

import pytest

from hacli.lab.xpath import select

_CIB = ET.fromstring(  # noqa: S314 - written here
    "<cib have-quorum='1'><configuration>"
    "<set id='s'><nvpair id='a' name='n' value='1'/><nvpair id='b' name='n' value='2'/></set>"
    "</configuration><status><node_state uname='c 1'/></status></cib>"
)


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("//nvpair[@name='n']", ["a", "b"]),
        ("//nvpair[@id='a' and @value='1']", ["a"]),
        ("//nvpair[@id='a' and @value='2']", []),
        ('//nvpair[@name="n"][@value="2"]', ["b"]),
        ("/cib/configuration/set/nvpair[@id='b']", ["b"]),
        ("//set[@id='s']/nvpair", ["a", "b"]),
        ("//set//*", ["a", "b"]),
        ("//set[@id='s' and nvpair/@value='2']", ["s"]),
        ("//set[@id='s' and nvpair/@value='3']", []),
        ("//nvpair[@id='b'] | //nvpair[@id='a'] | //nvpair[@id='c']", ["a", "b"]),
        ("//nvpair[@id='b'] |", []),
        ("/configuration", []),
        ("//nvpair[@id='a'", []),
        ("//nvpair[position()=1]", []),
        ("", []),
    ],
)
def test_an_expression_selects(expression: str, found: list[str]) -> None:
    """What cannot be understood selects nothing, as a broken expression does for Pacemaker."""
    assert [element.get("id") for element in select(_CIB, expression)] == found


def test_an_attribute_at_the_end_selects_its_element() -> None:
    """``//node_state/@uname`` prints the node states (tried)."""
    assert [e.tag for e in select(_CIB, "//node_state/@uname")] == ["node_state"]
    assert [e.tag for e in select(_CIB, "/cib")] == ["cib"]

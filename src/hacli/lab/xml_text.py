"""XML as Pacemaker's tools print it: two spaces deep, no declaration, ``<a/>``."""

import xml.etree.ElementTree as ET
from collections.abc import Mapping
from copy import deepcopy


def xml_text(element: ET.Element) -> str:
    """The element and what it holds, one element a line, as ``cibadmin`` and ``crm_mon`` do."""
    shown = deepcopy(element)
    ET.indent(shown)
    shown.tail = None
    # ElementTree escapes ">" in values, so that " />" can only be the end of an empty element
    return ET.tostring(shown, encoding="unicode").replace(" />", "/>") + "\n"


def child(parent: ET.Element, tag: str, /, **attributes: str | int | bool) -> ET.Element:
    """Add an element; ``_`` in a keyword stands for ``-``, True and False are written small."""
    return ET.SubElement(
        parent, tag, {name.replace("_", "-"): as_text(value) for name, value in attributes.items()}
    )


def attach(
    parent: ET.Element, tag: str, attributes: Mapping[str, str | int | bool | None]
) -> ET.Element:
    """Add an element with attributes named exactly so; one that is None is left out."""
    written = {name: as_text(value) for name, value in attributes.items() if value is not None}
    return ET.SubElement(parent, tag, written)


def as_text(value: str | int) -> str:
    """``true``, ``false``, or the value's own text."""
    return str(value).lower() if isinstance(value, bool) else str(value)

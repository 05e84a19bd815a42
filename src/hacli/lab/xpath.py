"""The little XPath that is asked of a CIB: ``//tag[@a='x' and b/@c='y']/tag``, absolute paths,
and unions of them.

ElementTree knows one condition per bracket and no absolute path; Pacemaker's libxml2 knows both.
"""

import re
import xml.etree.ElementTree as ET

_STEP = re.compile(r"(//|/)([\w*.-]+|@[\w-]+)((?:\[[^\]]*\])*)")
_CONDITION = re.compile(r"(?:([\w-]+)/)?@([\w-]+)\s*=\s*(?:'([^']*)'|\"([^\"]*)\")$")

_Condition = tuple[str | None, str, str]
"""A child's tag, or None for the element itself; the attribute; what it must be."""


def select(root: ET.Element, expression: str) -> list[ET.Element]:
    """The elements that an expression names; none when it cannot be understood.

    Pacemaker answers a broken expression like one that matches nothing (tried: 105). An attribute
    at the end selects the element that has it. A union is in the order of the document (tried).
    """
    found = [_select(root, part.strip()) for part in expression.split("|")]
    if not all(part.strip() for part in expression.split("|")):
        return []
    wanted = {id(element) for elements in found for element in elements}
    return [element for element in root.iter() if id(element) in wanted]


def _select(root: ET.Element, expression: str) -> list[ET.Element]:
    document = ET.Element("document")
    document.append(root)
    found, position = [document], 0
    for step in _STEP.finditer(expression):
        if step.start() != position:
            return []
        position = step.end()
        wanted = _conditions(step[3])
        if wanted is None:
            return []
        found = _step(found, axis=step[1], tag=step[2], wanted=wanted)
    return found if position == len(expression) and expression else []


def _step(
    start: list[ET.Element], *, axis: str, tag: str, wanted: list[_Condition]
) -> list[ET.Element]:
    if tag.startswith("@"):
        return [element for element in start if tag[1:] in element.attrib]
    found: list[ET.Element] = []
    for element in start:
        for candidate in list(element.iter())[1:] if axis == "//" else element:
            fits = tag in ("*", candidate.tag)
            if fits and all(_holds(candidate, condition) for condition in wanted):
                found.append(candidate)
    return found


def _holds(element: ET.Element, condition: _Condition) -> bool:
    """Of the element itself, or of any of its children with the name."""
    child, name, value = condition
    holders = [element] if child is None else element.findall(child)
    return any(holder.get(name) == value for holder in holders)


def _conditions(brackets: str) -> list[_Condition] | None:
    wanted: list[_Condition] = []
    for bracket in re.findall(r"\[([^\]]*)\]", brackets):
        for part in bracket.split(" and "):
            match = _CONDITION.match(part.strip())
            if match is None:
                return None
            wanted.append((match[1], match[2], match[3] if match[3] is not None else match[4]))
    return wanted

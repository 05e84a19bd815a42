"""The little XPath that is asked of a CIB: ``//tag[@a='x' and @b='y']/tag``, and absolute paths.

ElementTree knows one condition per bracket and no absolute path; Pacemaker's libxml2 knows both.
"""

import re
import xml.etree.ElementTree as ET

_STEP = re.compile(r"(//|/)([\w*.-]+|@[\w-]+)((?:\[[^\]]*\])*)")
_CONDITION = re.compile(r"@([\w-]+)\s*=\s*(?:'([^']*)'|\"([^\"]*)\")$")


def select(root: ET.Element, expression: str) -> list[ET.Element]:
    """The elements that an expression names; none when it cannot be understood.

    Pacemaker answers a broken expression like one that matches nothing (tried: 105). An attribute
    at the end selects the element that has it.
    """
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
    start: list[ET.Element], *, axis: str, tag: str, wanted: dict[str, str]
) -> list[ET.Element]:
    if tag.startswith("@"):
        return [element for element in start if tag[1:] in element.attrib]
    found: list[ET.Element] = []
    for element in start:
        for candidate in list(element.iter())[1:] if axis == "//" else element:
            fits = tag in ("*", candidate.tag)
            if fits and all(candidate.get(name) == value for name, value in wanted.items()):
                found.append(candidate)
    return found


def _conditions(brackets: str) -> dict[str, str] | None:
    wanted = {}
    for bracket in re.findall(r"\[([^\]]*)\]", brackets):
        for part in bracket.split(" and "):
            match = _CONDITION.match(part.strip())
            if match is None:
                return None
            wanted[match[1]] = match[2] if match[2] is not None else match[3]
    return wanted

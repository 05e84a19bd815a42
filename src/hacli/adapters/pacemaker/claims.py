"""How a claim stands in the CIB: a property set of its own, which Pacemaker itself passes over.

Tried on Pacemaker 2.1.5, also the union and the nested condition of the expressions (libxml2).
"""

from collections.abc import Mapping
from xml.etree.ElementTree import Element
from xml.sax.saxutils import quoteattr

from hacli.adapters.pacemaker.strict import Source

_PREFIX = "hacli-claim-"
_CIB = Source("cibadmin")


def pair(host: str, text: str) -> str:
    """The ``<nvpair>`` that says who has the host."""
    name = quoteattr(_PREFIX + host)
    return f"<nvpair id={quoteattr(_pair_id(host))} name={name} value={quoteattr(text)}/>"


def xml(host: str, text: str) -> str:
    """The whole claim."""
    name = quoteattr(_PREFIX + host)
    return f"<cluster_property_set id={name}>{pair(host, text)}</cluster_property_set>"


def xpath(host: str, *, text: str | None = None) -> str:
    """Where the claim's value is; with ``text`` only if it says this."""
    only = "" if text is None else f" and @value={_literal(text)}"
    return f"//nvpair[@id='{_pair_id(host)}'{only}]"


def xpath_of_set(host: str, *, text: str) -> str:
    """The whole claim, if it says this."""
    return f"//cluster_property_set[@id='{_PREFIX}{host}' and nvpair/@value={_literal(text)}]"


def claims_in(configuration: Element) -> Mapping[str, str]:
    """The claims by host; "" for one without a value, so that nobody takes the host for free."""
    sets = configuration.iterfind("crm_config/cluster_property_set")
    named = {each.get("id", ""): each for each in sets}
    return {
        name.removeprefix(_PREFIX): _value(each.find("nvpair"))
        for name, each in named.items()
        if name.startswith(_PREFIX)
    }


def find(answer: str, *, host: str) -> str | None:
    """The claim of this host in an answer; None when it is not among what was found.

    Raises:
        Unreadable: The answer is no XML.
    """
    root = _CIB.parse(answer)
    pairs = (element for element in root.iter("nvpair") if element.get("id") == _pair_id(host))
    return next(map(_value, pairs), None)


def _pair_id(host: str) -> str:
    return f"{_PREFIX}{host}-holder"


def _value(element: Element | None) -> str:
    return "" if element is None else element.get("value", "")


def _literal(text: str) -> str:
    """XPath 1.0 has no escapes; ours never hold a quote, and what somebody wrote by hand may."""
    return f"'{text}'" if "'" not in text else f'"{text}"'

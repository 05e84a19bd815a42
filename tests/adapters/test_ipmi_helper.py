"""What one child of the IPMI helper does once it is logged in."""

from collections.abc import Sequence
from typing import Any

import pytest

from hacli.adapters.ipmi_helper import Session, perform

OK, NODE_BUSY, NOT_IN_THIS_STATE = 0x00, 0xC0, 0xD5


class PowerlessSession:
    """A session with nothing to close."""

    def logout(self) -> object:
        return {"success": True}


class FakeBmc:
    """A BMC behind pyghmi: one code for orders, one status."""

    def __init__(self, *, order_code: int = OK, status: list[int], status_code: int = OK) -> None:
        self.ipmi_session: Session = PowerlessSession()
        self.order_code = order_code
        self.status = status
        self.status_code = status_code

    def raw_command(self, netfn: int, command: int, *, data: Sequence[int] = ()) -> dict[str, Any]:
        code = self.order_code if command == 2 else self.status_code
        answer: dict[str, Any] = {"code": code, "data": bytearray(self.status)}
        return answer if code == OK else {**answer, "error": f"code {code:#x}"}


@pytest.mark.parametrize(
    ("bmc", "operation", "expected"),
    [
        (FakeBmc(status=[1, 0, 0]), "read", {"state": "on"}),
        (FakeBmc(status=[0x60, 0, 0]), "read", {"state": "off"}),
        (FakeBmc(status=[]), "read", {"state": "unknown"}),
        (FakeBmc(status=[], status_code=NODE_BUSY), "read", {"failure": "code 0xc0"}),
        (FakeBmc(status=[1]), "off", {}),
        (FakeBmc(status=[1], order_code=NODE_BUSY), "off", {"failure": "code 0xc0"}),
        (FakeBmc(status=[0], order_code=NOT_IN_THIS_STATE), "off", {}),
        (FakeBmc(status=[1], order_code=NOT_IN_THIS_STATE), "off", {"failure": "code 0xd5"}),
        (FakeBmc(status=[], order_code=NOT_IN_THIS_STATE), "off", {"failure": "code 0xd5"}),
        (FakeBmc(status=[1], order_code=NOT_IN_THIS_STATE), "on", {}),
    ],
)
def test_an_operation_tells_what_the_bmc_said(
    bmc: FakeBmc, operation: str, expected: dict[str, str]
) -> None:
    """An order refused as "not in this state" counts only when the wanted state is read back."""
    assert perform(bmc, operation) == expected

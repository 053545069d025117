"""Typed operations for the networks of Xen hosts, over netlink.

>>> from xenvnet import Antispoof, Host, MacAddr
>>> with Host() as host:                                    # doctest: +SKIP
...     host.create_bridge("xenbr0")
...     host.set_antispoof("vif1.0", Antispoof("00:16:3e:00:00:01", ips="10.98.98.2"))
>>> MacAddr.from_ip("10.98.98.2")
MacAddr('2e:00:0a:62:62:02')

Values are frozen and are checked when they are made; they take their first argument by position
and all others by keyword. Wherever an address is wanted, a ``str`` or an object of ``ipaddress``
will do, and where several are, one alone; objects of ``ipaddress`` come back. A verb of ``Host``
returns whether it had to change anything; ``verify`` tells whether all of it still stands, and
``repair`` mends what does not; a ``Watch`` says when to look. ``save`` and ``restore`` keep what a host is to be like
over a reboot. On a host that is far away, ``run_provisionally`` makes a change that
a ``Sentinel`` in another process puts back unless ``confirm`` is called in time. Every error is a ``XenvnetError``, but for arguments of
a wrong type (``TypeError``), a closed ``Host``, ``Sentinel`` or ``Watch`` (``ValueError``), and a namespace whose file cannot
be opened (``OSError``).

What configurations of guests and of xend say is read by ``GuestFile``, ``VifSpec``, ``XendConfig`` and the values
in them, and never run. An error there has the byte as its ``offset``, of the whole file where a ``Line`` of it was
read, and says what may have been meant.

The logger ``xenvnet`` has each step of a change at level DEBUG, and what an administrator should
know of at WARNING.
"""

import logging as _logging

from ._errors import (
    AlreadyExistsError,
    BusyError,
    ConflictError,
    InternalError,
    InvalidArgumentError,
    KernelError,
    NotFoundError,
    ParseError,
    PermissionDeniedError,
    StateError,
    UndoError,
    UnsupportedError,
    XenvnetError,
)
from ._records import (
    Account,
    BridgeState,
    Counter,
    Drops,
    Finding,
    Guard,
    Link,
    Lock,
    MacCheck,
    MacFinding,
    MacPlace,
    NetworkRecord,
    PortState,
    Untracked,
    Uplink,
)
from ._xenvnet import (
    VIF_GROUP,
    AdditionalPort,
    Antispoof,
    Attachment,
    Bridge,
    BridgedNetwork,
    Brouter,
    Dom0,
    Forward,
    GuestFile,
    Host,
    Line,
    MacAddr,
    Masquerade,
    NatNetwork,
    Network,
    NoNetwork,
    Operation,
    OvsBridge,
    Plan,
    Rate,
    Report,
    RoutedNetwork,
    Sentinel,
    ShadowNetwork,
    Snapshot,
    VifDefaults,
    VifId,
    VifScript,
    VifSpec,
    VlanSpec,
    Watch,
    XendConfig,
    __version__,
    nat_gateway,
)

# Without a handler of the program's, nothing is printed.
_logging.getLogger(__name__).addHandler(_logging.NullHandler())

__all__ = [
    "Account",
    "AdditionalPort",
    "AlreadyExistsError",
    "Antispoof",
    "Attachment",
    "Bridge",
    "BridgeState",
    "BridgedNetwork",
    "Brouter",
    "BusyError",
    "ConflictError",
    "Counter",
    "Dom0",
    "Drops",
    "Finding",
    "Forward",
    "Guard",
    "GuestFile",
    "Host",
    "InternalError",
    "InvalidArgumentError",
    "KernelError",
    "Line",
    "Link",
    "Lock",
    "MacAddr",
    "MacCheck",
    "MacFinding",
    "MacPlace",
    "Masquerade",
    "NatNetwork",
    "Network",
    "NetworkRecord",
    "NoNetwork",
    "NotFoundError",
    "Operation",
    "OvsBridge",
    "ParseError",
    "PermissionDeniedError",
    "Plan",
    "PortState",
    "Rate",
    "Report",
    "RoutedNetwork",
    "Sentinel",
    "ShadowNetwork",
    "Snapshot",
    "StateError",
    "UndoError",
    "UnsupportedError",
    "Untracked",
    "Uplink",
    "VIF_GROUP",
    "VifDefaults",
    "VifId",
    "VifScript",
    "VifSpec",
    "VlanSpec",
    "Watch",
    "XendConfig",
    "XenvnetError",
    "__version__",
    "nat_gateway",
]

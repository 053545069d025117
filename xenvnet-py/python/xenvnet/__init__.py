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
``repair`` mends what does not. On a host that is far away, ``run_provisionally`` makes a change that
a ``Sentinel`` in another process puts back unless ``confirm`` is called in time. Every error is a ``XenvnetError``, but for arguments of
a wrong type (``TypeError``), a closed ``Host`` or ``Sentinel`` (``ValueError``), and a namespace whose file cannot
be opened (``OSError``).

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
from ._records import BridgeState, Drops, Finding, Guard, Link, Lock, NetworkRecord, PortState, Untracked, Uplink
from ._xenvnet import (
    AdditionalPort,
    Antispoof,
    Attachment,
    Bridge,
    BridgedNetwork,
    Brouter,
    Dom0,
    Forward,
    Host,
    MacAddr,
    Masquerade,
    NatNetwork,
    Network,
    NoNetwork,
    Operation,
    Plan,
    Report,
    RoutedNetwork,
    Sentinel,
    ShadowNetwork,
    Snapshot,
    VifId,
    __version__,
)

# Without a handler of the program's, nothing is printed.
_logging.getLogger(__name__).addHandler(_logging.NullHandler())

__all__ = [
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
    "Dom0",
    "Drops",
    "Finding",
    "Forward",
    "Guard",
    "Host",
    "InternalError",
    "InvalidArgumentError",
    "KernelError",
    "Link",
    "Lock",
    "MacAddr",
    "Masquerade",
    "NatNetwork",
    "Network",
    "NetworkRecord",
    "NoNetwork",
    "NotFoundError",
    "Operation",
    "ParseError",
    "PermissionDeniedError",
    "Plan",
    "PortState",
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
    "VifId",
    "XenvnetError",
    "__version__",
]

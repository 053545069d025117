"""The examples in the documentation do what they say."""

from __future__ import annotations

import doctest
from collections.abc import Iterator

import pytest
import xenvnet


def documented() -> Iterator[tuple[str, str]]:
    """Everything public that has a docstring, by its name."""
    yield "xenvnet", xenvnet.__doc__ or ""
    for name in xenvnet.__all__:
        public = getattr(xenvnet, name)
        members = vars(public) if isinstance(public, type) else {}
        for member, of in {"": public, **members}.items():
            text = getattr(of, "__doc__", None)
            if isinstance(text, str) and ">>>" in text:
                yield f"{name}.{member}".rstrip("."), text


EXAMPLES = dict(documented())


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs(name: str) -> None:
    example = doctest.DocTestParser().get_doctest(EXAMPLES[name], {}, name, None, 0)
    assert example.examples
    said: list[str] = []
    doctest.DocTestRunner().run(example, out=said.append)
    assert said == []


def test_there_are_examples() -> None:
    whole = {"GuestFile", "Line", "MacCheck", "OvsBridge", "Rate", "VifDefaults", "VifScript", "VifSpec", "VlanSpec"}
    assert whole | {"XendConfig", "nat_gateway", "VifSpec.from_xl", "xenvnet"} <= set(EXAMPLES)

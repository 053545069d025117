"""What core has, Python has: every verb, every kind of error."""

from __future__ import annotations

import inspect
import pickle
import re
import traceback
from pathlib import Path

import pytest
import xenvnet
from xenvnet import _xenvnet


@pytest.mark.parametrize("verb", _xenvnet.VERBS)
def test_every_verb_is_a_method_and_an_operation(verb: str) -> None:
    method, constructor = getattr(xenvnet.Host, verb), getattr(xenvnet.Operation, verb)
    operands = list(inspect.signature(method).parameters)[1:]
    assert operands == list(inspect.signature(constructor).parameters)
    assert method.__doc__ and constructor.__doc__


def test_every_method_of_a_host_is_there() -> None:
    source = Path(__file__).parents[2] / "xenvnet-core" / "src" / "host"
    text = "".join(file.read_text(encoding="utf-8") for file in source.glob("*.rs"))
    methods = set(re.findall(r"^    pub fn (\w+)\(&self\b", text, re.MULTILINE))
    assert methods > {*_xenvnet.VERBS, "plan", "apply", "undo", "plan_undo"}
    assert methods - set(dir(xenvnet.Host)) == set()


def test_there_are_verbs_and_kinds() -> None:
    assert len(_xenvnet.VERBS) >= 12
    assert len(_xenvnet.ERROR_KINDS) >= 12


@pytest.mark.parametrize(("kind", "name"), _xenvnet.ERROR_KINDS)
class TestEveryKindOfError:
    def test_it_has_a_class(self, kind: str, name: str) -> None:
        error = getattr(xenvnet, name)
        assert issubclass(error, xenvnet.XenvnetError)
        assert (error.kind, error.__name__) == (kind, name)
        assert name in xenvnet.__all__

    def test_its_facts_are_kept(self, kind: str, name: str) -> None:
        error = getattr(xenvnet, name)
        inner = xenvnet.KernelError("cannot release vif1.0: b", errno=22)
        caught = error("cannot a: b", errno=16, kernel_words="busy", offset=3, advice="try again", also=[inner])
        for it in (caught, pickle.loads(pickle.dumps(caught))):
            assert str(it) == "cannot a: b"
            assert (it.errno, it.kernel_words, it.offset, it.advice) == (16, "busy", 3, "try again")
            assert [str(other) for other in it.also] == ["cannot release vif1.0: b"]
            assert it.also[0].errno == 22
            assert type(it) is error
            if isinstance(it, OSError):
                assert it.strerror == "busy"

    def test_a_traceback_ends_with_the_advice(self, kind: str, name: str) -> None:
        error = getattr(xenvnet, name)("cannot a: b", advice="try again")
        lines = "".join(traceback.format_exception_only(type(error), error)).splitlines()
        assert lines == [f"xenvnet.{name}: cannot a: b", "try again"]


def test_no_class_without_a_kind() -> None:
    classes = {cls.__name__ for cls in xenvnet.XenvnetError.__subclasses__()}
    assert classes == {name for _, name in _xenvnet.ERROR_KINDS}


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (xenvnet.ParseError, ValueError),
        (xenvnet.InvalidArgumentError, ValueError),
        (xenvnet.NotFoundError, LookupError),
        (xenvnet.BusyError, OSError),
        (xenvnet.PermissionDeniedError, PermissionError),
        (xenvnet.UnsupportedError, NotImplementedError),
        (xenvnet.KernelError, OSError),
        (xenvnet.StateError, OSError),
        (xenvnet.InternalError, RuntimeError),
    ],
)
def test_the_builtin_that_a_caller_would_catch(error: type[Exception], builtin: type[Exception]) -> None:
    with pytest.raises(builtin):
        raise error("cannot a: b")

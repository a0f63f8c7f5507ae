"""What an operation was decided on is kept with it, exactly, and a body without it is as before."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestra_memory import CorruptRecord, Delete, DurabilityUnavailable, Put, Ref
from orchestra_memory.codec.operations import (
    NO_BASIS,
    Basis,
    decode_based,
    decode_operation,
    encode_operation,
    models_by_name,
)
from orchestra_memory.testing.contract.models import Lease, Note
from orchestra_memory.testing.contract.oracle import exact
from orchestra_memory.values import Vector
from tests.properties.steps import Step, steps
from tests.properties.test_codecs import DOCUMENTS, ODD_TEXT

MODELS = models_by_name([Note, Lease])
SECRET = "hunter2"

bases = st.builds(
    Basis,
    revision=st.none() | st.integers(0, 2**63 - 1),
    absent=st.booleans(),
    after=st.none() | ODD_TEXT,
    fields=st.none() | DOCUMENTS,
    in_doubt=st.booleans(),
    result=st.none() | ODD_TEXT,
)


@settings(deadline=None, derandomize=True, max_examples=200)
@given(bases, steps)
def test_a_basis_comes_back_with_its_operation(basis: Basis, step: Step):
    op = step.operation(1, None)
    found, came = decode_based(encode_operation(op, basis), MODELS)
    assert exact(came.fields) == exact(basis.fields)
    assert replace(came, fields=None) == replace(basis, fields=None)
    assert (type(came.absent), type(came.in_doubt)) == (bool, bool)
    assert (type(found), found.ref) == (type(op), op.ref)


def test_a_body_without_a_basis_is_as_it_was():
    op = Put(Note(id="a"))
    assert encode_operation(op) == encode_operation(op, NO_BASIS)
    assert b"basis" not in encode_operation(op)
    assert decode_based(encode_operation(op), MODELS) == (op, NO_BASIS)


def test_an_operation_can_be_read_without_its_basis():
    op = Delete(Ref(Note, "a"))
    assert decode_operation(encode_operation(op, Basis(revision=7)), MODELS) == op


def test_nan_in_a_vector_of_a_basis_is_refused_without_showing_it():
    basis = Basis(fields={"vector": Vector([float("nan"), 12345.0])})
    with pytest.raises(DurabilityUnavailable, match="NaN") as caught:
        encode_operation(Delete(Ref(Note, "a")), basis)
    assert "12345" not in str(caught.value)


@pytest.mark.parametrize(
    "basis",
    [
        None,
        SECRET,
        [SECRET],
        {SECRET: 1},
        {"revision": SECRET},
        {"revision": True},
        {"revision": 1.0},
        {"absent": 1},
        {"absent": None},
        {"after": 7},
        {"fields": [SECRET]},
        {"in_doubt": SECRET},
    ],
    ids=str,
)
def test_what_is_no_basis_is_refused_without_showing_it(basis):
    found = {**json.loads(encode_operation(Delete(Ref(Note, "a")))), "basis": basis}
    with pytest.raises(CorruptRecord) as caught:
        decode_based(json.dumps(found).encode(), MODELS)
    assert SECRET not in str(caught.value)

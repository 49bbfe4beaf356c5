"""Tables of structures: what they tell, their JSON form, what is refused."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmda_tf.data.structures import HEART, Structure, Structures

ABDOMEN = Structures(
    (
        Structure("liver", 1, (6,), "#aa0000"),
        Structure("kidneys", 2, (2, 3), "#00aa00"),
    ),
    background_codes=(0, 1),
    columns=("kidneys", "liver"),
)


def test_heart_is_that_of_the_paper():
    assert HEART.classes == 5 and HEART.columns == ("AA", "LA-blood", "LV-blood", "LV-myo")
    assert {c: i for c, i in HEART.code_to_class.items() if i} == {
        205: 1, 420: 2, 421: 2, 500: 3, 820: 4,
    }  # fmt: skip
    assert [c for c, i in HEART.code_to_class.items() if not i] == [0, 600, 550, 850]


def test_another_table():
    assert ABDOMEN.classes == 3 and ABDOMEN["kidneys"].index == 2
    assert ABDOMEN.code_to_class == {0: 0, 1: 0, 6: 1, 2: 2, 3: 2}
    assert [s.name for s in ABDOMEN] == ["liver", "kidneys"]
    assert [s.name for s in ABDOMEN.in_columns] == ["kidneys", "liver"]
    assert ABDOMEN.written_codes == (0, 6, 2)
    assert HEART.written_codes == (0, 205, 420, 500, 820)
    with pytest.raises(KeyError):
        ABDOMEN["spleen"]


@pytest.mark.parametrize("table", [HEART, ABDOMEN])
def test_json_and_back(table):
    assert Structures.from_dict(table.to_dict()) == table


def test_what_may_be_left_out():
    values = {"structures": [{"name": "liver", "codes": [6], "color": "#aa0000"}]}
    table = Structures.from_dict(values)
    assert table.background_codes == (0,) and table.columns == ("liver",)


@given(st.dictionaries(st.text(min_size=1).filter(str.strip), st.integers(1, 65535), min_size=1))
def test_any_names_and_codes_survive_json(codes):
    if len(set(codes.values())) == len(codes) < 255:
        members = [{"name": n, "codes": [c], "color": "#123abc"} for n, c in codes.items()]
        table = Structures.from_dict({"structures": members})
        assert Structures.from_dict(table.to_dict()) == table
        assert {s.name: s.codes[0] for s in table} == codes


LIVER = ABDOMEN.members[0]


@pytest.mark.parametrize(
    ("members", "options", "message"),
    [
        ((), {}, "expected 1 to 254 structures, found 0"),
        ((dataclasses.replace(LIVER, index=2),), {}, "structure 1: "),
        ((dataclasses.replace(LIVER, name=" "),), {}, "structure 1: expected a name"),
        ((dataclasses.replace(LIVER, codes=()),), {}, "structure 1: expected a name and label"),
        ((dataclasses.replace(LIVER, color="red"),), {}, "liver: expected a color #rrggbb"),
        ((dataclasses.replace(LIVER, codes=(-1,)),), {}, "label codes 0..65535, found -1"),
        ((dataclasses.replace(LIVER, codes=(70000,)),), {}, "found 70000"),
        ((LIVER, dataclasses.replace(LIVER, index=2, codes=(7,))), {}, "name 'liver' is given"),
        ((LIVER,), {"background_codes": (0, 6)}, "label code 6 is given twice"),
        ((LIVER,), {"columns": ("liver", "spleen")}, "expected columns liver; found"),
    ],
)
def test_what_cannot_be_is_refused(members, options, message):
    with pytest.raises(ValueError, match=message):
        Structures(members, **options)


@pytest.mark.parametrize(
    "values", [{}, {"structures": 3}, {"structures": [{"name": "a"}]}, {"structures": [[]]}]
)
def test_no_table_is_refused(values):
    with pytest.raises((LookupError, TypeError, ValueError)):
        Structures.from_dict(values)

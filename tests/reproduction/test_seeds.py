"""The report over seeds, worked by hand: means, gains against the right baseline, gaps."""

import json

import pytest

from cmda_tf.data.structures import HEART
from cmda_tf.reproduction.seeds import across, combine, depth_curves, gains, mean_dice, regrets

# title: (dice, run, kind, depth, init_from)
ROWS = {
    "Seg-CT-STL": (80.0, "finetune_ct", "finetuned", None, "source_mr"),
    "noDA": (40.0, "source_mr", "noDA", None, None),
    "noDA (Seg-MRI+)": (60.0, "source_plus", "noDA", None, None),
    "AdaBN d=31": (50.0, "adabn_d31", "adabn", 31, "source_mr"),
    "AdaBN+ d=31": (58.0, "adabn_plus", "adabn", 31, "source_plus"),
    "UDA d=31": (65.0, "adapt_d31", "adapt", 31, "source_mr"),
    "UDA from Seg-MRI+": (70.0, "uda_from_plus", "adapt", 31, "source_plus"),
    "UDA+": (76.0, "uda_plus", "selftrain", 31, "uda_from_plus"),
}


def cell(dice, asd=1.0):
    return {
        "dice_mean": dice, "dice_std": 3.0,
        "asd_mean": asd, "asd_std": 0.5, "asd_subjects": 2 if asd is not None else 0,
    }  # fmt: skip


def result(shift=0.0, without=()):
    """A seed's `results.json`; adapted rows are better by `shift`."""
    rows = {t: v for t, v in ROWS.items() if t not in without}
    facts = ("run", "kind", "depth", "init_from")
    return {
        "rows": {
            ids[t]: {
                "title": t,
                **dict(zip(facts, v[1:])),
                "usual": v[1] in ("source_mr", "finetune_ct") or "_d" in v[1],
                "subjects": list("abcd"),
                "structures": {n: cell(v[0] + shift * (v[3] is not None)) for n in HEART.columns},
            }
            for t, v in rows.items()
        },
    }


ids = {t: v[1] + "/noDA" * (v[2] == "noDA") for t, v in ROWS.items()}


def by_title(results):
    return {gain.title: gain for gain in gains(results)}


def test_gains_are_measured_against_the_row_s_own_source_model_as_well():
    actual = by_title({0: result(), 1: result(4.0)})
    assert list(actual) == ["UDA d=31", "UDA from Seg-MRI+", "UDA+"]
    plain, plus = actual["UDA d=31"], actual["UDA+"]
    assert plain.above_adabn == plain.above_own_adabn == [15, 15]  # AdaBN shifts as well
    assert plain.above_own_start == [25, 29]
    assert plus.dice == [76, 80] and plus.above_adabn == [26, 26]
    assert plus.above_own_adabn == [18, 18] and plus.above_own_start == [16, 20]
    assert plus.share == [pytest.approx(0.9), pytest.approx(1.0)]
    assert str(plain).endswith("of the way from noDA to Seg-CT-STL")
    assert str(plus).endswith(
        "; +18.0 (+16.0 to +20.0) above its own source model without adaptation, "
        "+18.0 (+18.0 to +18.0) above AdaBN from that"
    )


def test_from_ct_to_mr_all_of_the_way_ends_at_another_row():
    actual = result()
    actual["rows"]["finetune_ct"]["title"] = "Seg-MRI-STL"
    gain = by_title({0: actual})["UDA+"]
    assert gain.share == [pytest.approx(0.9)] and "from noDA to Seg-MRI-STL;" in str(gain)
    assert across({0: actual}) == {"noDA": 40, "Seg-MRI-STL": 80}


def test_what_is_missing_has_no_value_and_can_be_written():
    results = {0: result(without=("Seg-CT-STL", "AdaBN d=31")), 1: result(without=("UDA+",))}
    actual = by_title(results)
    assert actual["UDA d=31"].above_adabn == [None, 15] and actual["UDA d=31"].share[0] is None
    assert actual["UDA+"].dice == [76, None] and actual["UDA+"].above_own_adabn == [18, None]
    json.dumps([vars(gain) for gain in actual.values()], allow_nan=False)
    none = by_title({0: result(without=("noDA", "Seg-CT-STL", "AdaBN d=31", "AdaBN+ d=31"))})
    assert str(none["UDA d=31"]).startswith("UDA d=31: N/A points above AdaBN at its depth, N/A")


def test_means_over_seeds_and_seeds_that_lack_a_row():
    rows = combine({0: result(), 1: result(4.0), 2: result(without=("UDA+",))})
    uda = rows["uda_plus"].dice["AA"]
    assert (uda.mean, uda.std, uda.count, uda.total) == (78, 2, 2, 3)
    assert rows["source_mr/noDA"].asd["AA"].count == 3 and rows["uda_plus"].title == "UDA+"
    results = {0: result(), 1: result()}
    results[1]["rows"]["source_mr/noDA"]["structures"]["AA"] = cell(None, None)
    rows = combine(results)
    dice = rows["source_mr/noDA"].dice["AA"]
    assert dice.count == 1 and dice.total == 2
    for seed in results:
        results[seed]["rows"]["source_mr/noDA"]["structures"]["AA"] = cell(0.0, None)
    assert combine(results)["source_mr/noDA"].asd["AA"] is None


def test_one_seed_keeps_its_spread_over_subjects():
    row = combine({5: result()})["uda_plus"]
    assert vars(row.dice["AA"]) == {"mean": 76.0, "std": 3.0, "count": 4, "total": 4}
    assert vars(row.asd["AA"]) == {"mean": 1.0, "std": 0.5, "count": 2, "total": 4}


def test_curves_hold_the_usual_runs_alone():
    curves = depth_curves({0: result(), 1: result(4.0)})
    assert curves == {"AdaBN": {31: [50, 54]}, "UDA": {31: [65, 69]}}
    assert across({0: result(), 1: result(4.0)}) == {"noDA": 40, "Seg-CT-STL": 80}
    assert across({0: result(without=("noDA",))}) == {"Seg-CT-STL": 80}
    titled = result()
    titled["rows"]["adapt_d31"]["title"] = "Ours"
    assert depth_curves({0: titled}) == {"AdaBN": {31: [50]}, "UDA": {31: [65]}}


def test_regrets_and_mean_dice():
    results = [result() | {"selection": {"adapt_d31": _choice(r)}} for r in (1.0, 2.0)]
    (sentence,) = regrets({0: results[0], 1: results[1], 2: result()})
    assert sentence.startswith("UDA d=31: the snapshot chosen by `last` is 1.5 (1.0 to 2.0) Dice ")
    assert mean_dice({"structures": {"a": cell(10.0), "b": cell(None), "c": cell(20.0)}}) == 15
    assert mean_dice({"structures": {"a": cell(None)}}) is None


def _choice(regret):
    return {"criterion": "last", "regret": regret}

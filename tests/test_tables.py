"""Tables as text, Markdown and CSV."""

from cmda_tf.tables import to_csv, to_markdown, to_text


def test_text_is_aligned_without_trailing_spaces():
    lines = [["name", "n"], ["a", "10"], ["long name", ""]]
    assert to_text(lines) == "name       n\na          10\nlong name"
    assert to_text(lines, heads=1).splitlines()[1] == "-" * 13
    assert to_text(lines, right=True) == "     name   n\n        a  10\nlong name"


def test_markdown_escapes_what_would_end_a_cell():
    text = to_markdown(["a", "b"], [["x|y", "1"]])
    assert text == "| a | b |\n| --- | ---: |\n| x\\|y | 1 |\n"


def test_csv_keeps_every_digit_and_quotes():
    assert to_csv(["a", "b"], [[0.1 + 0.2, 'x,"y"']]) == ('a,b\n0.30000000000000004,"x,""y"""\n')

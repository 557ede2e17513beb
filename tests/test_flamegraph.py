"""The flame graph: what is read, and what is drawn from it."""

import itertools
import json
from xml.etree import ElementTree

import pytest

from harness.errors import UsageError
from harness.learner import flamegraph

SVG = "{http://www.w3.org/2000/svg}"
FOLDED = "shares;main;heavy;burn 71\nshares;main;light;burn 23\nshares;main;ask;read_[k] 6\n"
SPEEDSCOPE = {
    "shared": {"frames": [{"name": "shares"}, {"name": "main"}, {"name": "burn"}]},
    "profiles": [
        {
            "type": "sampled",
            "name": "a",
            "unit": "seconds",
            "startValue": 0,
            "endValue": 1,
            "samples": [[0, 1], [0, 1, 2]],
            "weights": [0.25, 0.75],
        }
    ],
}


def drawn(text):
    """Tip of each box → x, y, width, fill."""
    profile = flamegraph.of_folded(text)
    found = {}
    for group in ElementTree.fromstring(flamegraph.svg(profile)).iter(f"{SVG}g"):
        box = group.find(f"{SVG}rect")
        place = [float(box.get(name)) for name in ("x", "y", "width")]
        found[group.find(f"{SVG}title").text] = (*place, box.get("fill"))
    return found


def named(boxes, name):
    """The one box of that name."""
    (box,) = [box for tip, box in boxes.items() if tip.startswith(f"{name}: ")]
    return box


def test_boxes_are_as_wide_as_their_shares():
    boxes = drawn(FOLDED)
    whole = named(boxes, "all")[2]
    shares = {name: round(100 * named(boxes, name)[2] / whole) for name in ("main", "heavy", "light", "ask")}
    assert shares == {"main": 100, "heavy": 71, "light": 23, "ask": 6}


def test_a_called_function_is_below_its_caller_and_within_it():
    boxes = drawn(FOLDED)
    main, heavy = named(boxes, "main"), named(boxes, "heavy")
    assert heavy[1] == main[1] + flamegraph.ROW
    assert main[0] <= heavy[0] < heavy[0] + heavy[2] <= main[0] + main[2] + 0.01


def test_neighbours_do_not_overlap():
    boxes = drawn(FOLDED)
    row = sorted(named(boxes, name)[:3] for name in ("heavy", "light", "ask"))
    for left, right in itertools.pairwise(row):
        assert left[0] + left[2] <= right[0] + 0.01


def test_a_name_called_from_two_places_has_two_boxes():
    assert {tip for tip in drawn(FOLDED) if tip.startswith("burn")} == {
        "burn: 23 samples, 23.0 %",
        "burn: 71 samples, 71.0 %",
    }


def test_the_kernels_functions_have_another_colour():
    boxes = drawn(FOLDED)
    red, _, blue = (int(named(boxes, "read_[k]")[3][at : at + 2], 16) for at in (1, 3, 5))
    assert blue > red
    red, _, blue = (int(named(boxes, "heavy")[3][at : at + 2], 16) for at in (1, 3, 5))
    assert red > blue


def test_names_are_escaped():
    text = flamegraph.svg(flamegraph.of_folded("<script>;std::vector<int>&&;</svg> 3"))
    assert {"std::vector<int>&&", "</svg>"} <= {
        element.text for element in ElementTree.fromstring(text).iter(f"{SVG}text")
    }


def test_nothing_is_loaded_from_outside():
    text = flamegraph.svg(flamegraph.of_folded(FOLDED))
    assert "href" not in text
    assert text.count("://") == 1, "only the name space"


def test_a_speedscope_file_is_read(tmp_path):
    path = tmp_path / "profile.speedscope.json"
    path.write_text(json.dumps(SPEEDSCOPE))
    profile = flamegraph.read(path)
    assert profile == flamegraph.Profile({("shares", "main"): 0.25, ("shares", "main", "burn"): 0.75}, "seconds", "a")


def test_folded_lines_keep_blanks_in_names_and_add_up(tmp_path):
    path = tmp_path / "profile.folded"
    path.write_text("my shell;operator new 2\nmy shell;operator new 3\n\n")
    assert flamegraph.read(path) == flamegraph.Profile({("my shell", "operator new"): 5}, "samples")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("main;work\n", "line 1"),
        ("main 1\nmain x\n", "line 2"),
        ("", "no samples"),
        ("{", "neither"),
        ('{"shared": {"frames": []}, "profiles": [{"type": "evented"}]}', "evented"),
        (json.dumps(SPEEDSCOPE | {"shared": {"frames": []}}), "neither"),
    ],
)
def test_a_file_that_is_no_profile_is_a_usage_error(tmp_path, text, said):
    path = tmp_path / "profile"
    path.write_text(text)
    with pytest.raises(UsageError, match=said):
        flamegraph.read(path)


def test_a_file_that_is_missing_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="does not exist"):
        flamegraph.read(tmp_path / "none")


def rows(text):
    """Names in the picture, each once, by their row from the top."""
    boxes = drawn(text)
    return {tip.partition(":")[0]: round((box[1] - flamegraph.HEADER) / flamegraph.ROW) for tip, box in boxes.items()}


def test_a_row_of_unknown_frames_is_one_box():
    deep = ";".join(["[unknown]"] * 127)
    assert rows(f"python3;{deep};add 3\npython3;[unknown];add 4\npython3;[unknown];run;[unknown];add 1\n") == {
        "all": 0, "python3": 1, "[unknown]": 4, "run": 3, "add": 5,
    }  # fmt: skip
    assert "add: 7 samples, 87.5 %" in drawn(f"python3;{deep};add 3\npython3;[unknown];add 4\np;run;add 1\n")


def test_unknown_frames_of_the_kernel_stay_apart():
    assert rows("a;[unknown];[unknown]_[k];[unknown]_[k];read_[k] 1\n") == {
        "all": 0, "a": 1, "[unknown]": 2, "[unknown]_[k]": 3, "read_[k]": 4,
    }  # fmt: skip


def test_frames_too_narrow_to_see_are_one_box():
    crumbs = "".join(f"a;main;f{number} 1\n" for number in range(23))
    boxes = drawn(f"a;main;work 9977\n{crumbs}")
    assert boxes["23 narrow ones: 23 samples, 0.2 %"][2] == pytest.approx(0.0023 * 1180, abs=0.01)
    assert min(box[2] for box in boxes.values()) >= flamegraph.WIDTH_MIN
    assert len(boxes) == 5


def test_the_outermost_function_is_in_sight_however_deep():
    deep = ";".join(f"f{number}" for number in range(200))
    assert rows(f"{deep} 1\n")["f0"] == 1


def pair(tmp_path, folded, speedscope):
    """What is read where a loader wrote both files."""
    (tmp_path / "profile.folded").write_text(folded)
    (tmp_path / "profile.speedscope.json").write_text(speedscope)
    return flamegraph.read(tmp_path / "profile.folded")


def headline(profile):
    """Title and facts, as the picture shows them."""
    texts = ElementTree.fromstring(flamegraph.svg(profile)).iter(f"{SVG}text")
    shown = [text.text for text in texts if text.get("class")]
    return shown[0], shown[1].partition(". ")[0]


def test_the_title_has_command_samples_and_seconds(tmp_path):
    speedscope = json.dumps(SPEEDSCOPE).replace('"a"', '"shares work 9"')
    profile = pair(tmp_path, "shares;main 25\nshares;main;burn 75\n", speedscope)
    assert headline(profile) == ("shares work 9", "100 samples, 1.00 s of CPU time")


def test_the_title_without_a_second_file_is_the_process():
    assert headline(flamegraph.of_folded(FOLDED)) == ("shares", "100 samples")
    assert headline(flamegraph.of_folded("a;main 1\n")) == ("a", "1 sample")
    assert headline(flamegraph.of_folded("a;main 1\nb;main 1\n")) == ("2 processes", "2 samples")
    assert headline(flamegraph.Profile({(): 2.0}, "samples")) == ("no functions", "2 samples")


@pytest.mark.parametrize(
    "beside",
    [
        json.dumps(SPEEDSCOPE).replace("burn", "other"),
        json.dumps(SPEEDSCOPE).replace("seconds", "bytes"),
        json.dumps(SPEEDSCOPE).replace("0.75", "NaN"),
        json.dumps(SPEEDSCOPE | {"shared": {}}),
        "[" * 100_000,
        "",
    ],
)
def test_a_second_file_that_does_not_fit_is_passed_over(tmp_path, beside):
    profile = pair(tmp_path, "shares;main 25\nshares;main;burn 75\n", beside)
    assert headline(profile) == ("shares", "100 samples")


def test_pythons_functions_are_named_as_python_names_them():
    boxes = drawn(
        "python3;py::Tool.work:/home/me/tool.py;_PyEval_EvalFrameDefault 2\npython3;py::<module>:<string> 1\n"
    )
    red, green, blue = (int(named(boxes, "Tool.work (tool.py)")[3][at : at + 2], 16) for at in (1, 3, 5))
    assert green > max(red, blue)
    assert "<module> (<string>): 1 sample, 33.3 %" in boxes

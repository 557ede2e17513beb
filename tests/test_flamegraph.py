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
    for group in ElementTree.fromstring(flamegraph.svg(profile, "a title")).iter(f"{SVG}g"):
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


def test_what_is_called_stands_on_its_caller_and_within_it():
    boxes = drawn(FOLDED)
    main, heavy = named(boxes, "main"), named(boxes, "heavy")
    assert heavy[1] == main[1] - flamegraph.ROW
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


def test_the_kernels_functions_have_a_colour_of_their_own():
    boxes = drawn(FOLDED)
    red, _, blue = (int(named(boxes, "read_[k]")[3][at : at + 2], 16) for at in (1, 3, 5))
    assert blue > red
    red, _, blue = (int(named(boxes, "heavy")[3][at : at + 2], 16) for at in (1, 3, 5))
    assert red > blue


def test_names_are_escaped():
    text = flamegraph.svg(flamegraph.of_folded("a;std::vector<int>&&;</svg> 3"), "<script>")
    assert {"std::vector<int>&&", "</svg>"} <= {
        element.text for element in ElementTree.fromstring(text).iter(f"{SVG}text")
    }


def test_nothing_is_loaded_from_outside():
    text = flamegraph.svg(flamegraph.of_folded(FOLDED), "a title")
    assert "href" not in text
    assert text.count("://") == 1, "only the name space"


def test_a_speedscope_file_is_read(tmp_path):
    path = tmp_path / "profile.speedscope.json"
    path.write_text(json.dumps(SPEEDSCOPE))
    profile = flamegraph.read(path)
    assert profile == flamegraph.Profile({("shares", "main"): 0.25, ("shares", "main", "burn"): 0.75}, "seconds")


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

import base64
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import plotly.graph_objects
import pytest

from bioppo import UserError
from bioppo.cli.report import main as report
from bioppo.reports.curves import Curve
from bioppo.reports.drawing import COLOURS
from bioppo.reports.page import report_page
from bioppo.reports.page_charts import MOST_TOGETHER, band, curve_traces, folded, learning_curve_chart, numbers
from bioppo.reports.records import find_runs
from bioppo.reports.variants import variants

RESULT = {"last/incidence": 0.5, "best/incidence": 0.6, "nothing/incidence": 0.1, "last/max_eigenvalue": -1.0}
PROGRESS = "update,simulator_calls,evaluation/incidence,environment/reward_mean\n0,0,{0},\n1,100,{1},2.5\n2,200,{2},3\n"
VOID = {"meta", "link", "img", "br"}


class Page(HTMLParser):
    """Elements with their attributes, and the text of tables by row."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.rows, self.texts = [], [], [], {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts[self.open[-1] if self.open else ""] = self.texts.get(self.open[-1] if self.open else "", "") + data
        if {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data

    def attributes(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def written(study, *words):
    assert report([str(study.path), *words]) == 0
    return (study.path / "report.html").read_text(encoding="utf-8")


def charts_of(page):
    return json.loads(re.search(r'<script type="application/json" id="charts">(.*?)</script>', page)[1])


def outside_scripts(page):
    return re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


@pytest.fixture
def two_variants(study):
    for seed, factor in enumerate((1, 2, 3)):
        study.run("a", seed, result=RESULT, progress=PROGRESS.format(0, 0.1 * factor, 0.2 * factor))
    faster = {"learning_rate": 0.01}
    study.run("b", 0, algo=faster, result=RESULT | {"last/incidence": 0.9}, progress=PROGRESS.format(0, 0.5, 0.9))
    study.run("b", 1, algo=faster, failure="FloatingPointError", progress=PROGRESS.format(0, 0.5, ""))
    study.run("b", 2, algo=faster)
    return study


def test_the_command_writes_one_page_and_prints_where(two_variants, capsys, tmp_path):
    page = written(two_variants)
    assert capsys.readouterr().out == f"Written: {two_variants.path / 'report.html'}\n"
    other = tmp_path / "new" / "page.html"
    assert report([str(two_variants.path), "--output", str(other)]) == 0
    assert other.read_text(encoding="utf-8") == page  # and the same runs give the same bytes
    assert "<title>Runs of study</title>" in page


def test_the_page_is_whole_and_accessible(two_variants):
    text = outside_scripts(written(two_variants))
    page = Page(text)
    assert page.open == []
    assert page.attributes("html") == [{"lang": "en"}]
    levels = [int(name[1]) for name, _ in page.elements if re.fullmatch(r"h[1-6]", name)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers)) > 0
    assert len(page.attributes("caption")) == len(page.attributes("table")) == 1
    named = [attributes["aria-labelledby"] for attributes in page.attributes("figure")]
    assert named
    assert set(named) <= set(identifiers)


def test_nothing_is_fetched(two_variants):
    text = outside_scripts(written(two_variants))
    references = [
        value
        for _, attributes in Page(text).elements
        for key, value in attributes.items()
        if key in ("src", "href", "srcset", "action")
    ]
    assert references == ["data:,"]
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src 'none'" in text


def test_summary_counts_how_runs_ended(two_variants):
    text = written(two_variants)
    counts = dict(re.findall(r"<dt>(\w+)</dt><dd>(\d+)</dd>", text))
    assert counts == {"runs": "6", "variants": "2", "finished": "4", "failed": "1", "unfinished": "1"}
    assert "learning_rate=0.01: seed 1 failed (FloatingPointError), seed 2 unfinished." in text


def test_the_table_marks_the_best_and_sets_baselines_apart(two_variants):
    text = written(two_variants)
    rows = Page(outside_scripts(text)).rows
    assert rows[0][:4] == ["variant", "n", "incidence ↑", "incidence ↑ (best)"]
    assert rows[1][:3] == ["learning_rate=0.0003", "3", "0.500 [0.500, 0.500]"]
    assert rows[2][:3] == ["learning_rate=0.01", "1", "0.900 [–]"]
    assert rows[3:] == [["Baselines"], ["nothing", "3", "0.100 [0.100, 0.100]", "0.100 [0.100, 0.100]", "–"]]
    assert rows[1][4] == "−1.000 [−1.000, −1.000]"
    strong = re.findall(r"<td data-value=\"([^\"]*)\"><strong", text)
    assert strong == ["0.6", "-1", "0.9", "0.6", "-1"]  # equal scores share the mark
    first = re.findall(r'<th scope="col" data-first="(\w+)">', text)
    assert first == ["ascending", "descending", "descending", "descending", "ascending"]
    bodies = re.findall(r"<tbody>(.*?)</tbody>", text)
    assert ["nothing" in body for body in bodies] == [False, True]
    assert '<td data-value="">–</td>' in bodies[1]


def test_charts_hold_the_curves(two_variants):
    chart, reward = charts_of(written(two_variants)).values()
    assert chart["title"] == "incidence (higher is better)"
    assert chart["meaning"] == "share of valid sets"
    interval, line, shorter, other, baseline = chart["traces"]
    assert line["name"] == "learning_rate=0.0003 (3 seeds)"
    assert line["x"] == [0, 100, 200]
    assert line["y"] == [0, 0.2, 0.4]  # the middle of 1, 2 and 3 times
    assert line["text"][2] == "0.400 [0.200, 0.600]"
    assert interval["legendgroup"] == line["legendgroup"] != other["legendgroup"]
    assert interval["x"] == [0, 100, 200, 200, 100, 0]
    assert max(interval["y"]) == 0.6
    assert interval["showlegend"] is False
    # The failed seed counts as far as it got.
    assert shorter["x"] == [0, 100, 100, 0]
    assert other["name"] == "learning_rate=0.01 (2 seeds)"
    assert (line["line"]["color"], other["line"]["color"]) == COLOURS[:2]
    assert line["line"]["dash"] != other["line"]["dash"]
    assert baseline["name"] == "nothing (baseline)"
    assert set(baseline["y"]) == {0.1}
    assert (baseline["x"][0], baseline["x"][-1]) == (0, 200)
    assert reward["title"] == "mean reward of the training episodes"
    assert reward["traces"][1]["y"] == [2.5, 3]


def test_plotly_accepts_every_chart(two_variants):
    charts = charts_of(written(two_variants))
    assert len(charts) == 2
    for chart in charts.values():
        figure = plotly.graph_objects.Figure(data=chart["traces"], layout=chart["layout"])
        assert len(figure.data) == len(chart["traces"]) > 2


def test_a_baseline_off_the_scale_has_its_number_in_the_legend(study):
    study.run("a", result=RESULT, progress=PROGRESS.format(0, 0.1, 0.2))
    found = variants(find_runs(study.path))
    chart = learning_curve_chart(
        found, "evaluation/incidence", title="", meaning="", baselines={"far": 1e6, "near": 0.3, "unknown": np.nan}
    )
    assert [trace["name"] for trace in chart.traces[1:]] == ["far: 1.00e+06 ↑ (baseline)", "near (baseline)"]
    low, high = chart.layout["yaxis"]["range"]
    assert low < 0 < 0.3 < high < 1
    assert learning_curve_chart(found, "evaluation/nothing", title="", meaning="", baselines={"near": 0.3}) is None


def test_many_lines_answer_one_by_one(study):
    for number in range(MOST_TOGETHER + 1):
        study.run(f"v{number}", algo={"learning_rate": number + 1}, progress=PROGRESS.format(0, 0, number))
    found = variants(find_runs(study.path))
    modes = [
        learning_curve_chart(some, "evaluation/incidence", title="", meaning="", baselines={}).layout["hovermode"]
        for some in (found[1:], found)
    ]
    assert modes == ["x unified", "closest"]


def test_the_interval_is_drawn_where_it_is_known():
    nan = np.nan
    known = np.array([nan, 1, 2, nan, 4, 5, nan, 7])
    curve = Curve(np.arange(8.0), known, known - 1, known + 1, seeds=2)
    x, y = band(curve)
    assert x == [1, 2, 2, 1, None, 4, 5, 5, 4]  # a single point has no area
    assert y == [2, 3, 1, 0, None, 5, 6, 4, 3]
    single = Curve(np.arange(2.0), np.ones(2), np.full(2, nan), np.full(2, nan), seeds=1)
    (line,) = curve_traces(0, "a", single, opacity="26")
    assert line["name"] == "a (1 seed)"
    assert line["text"] == ["1.00", "1.00"]


def test_numbers_are_fit_for_json():
    assert numbers(np.array([1 / 3, np.nan, np.inf, -2.0])) == [0.333333, None, None, -2.0]


def test_long_labels_are_folded_and_escaped():
    label = folded("a" * 40 + " <b>x</b>&")
    assert label == "a" * 40 + "<br>&lt;b&gt;x&lt;/b&gt;&amp;"


def test_text_of_the_runs_is_no_markup(study):
    evil = "</script><img src=x onerror=alert(1)>"
    metrics = [{"name": evil, "better": "higher", "meaning": evil}]
    progress = f"update,simulator_calls,evaluation/{evil}\n1,100,0.1\n2,200,0.5\n"
    result = {f"last/{evil}": 0.5, f"best/{evil}": 0.5}
    for seed in range(2):
        path = study.run("a", seed, variant=evil, env={"name": evil}, metrics=metrics, progress=progress, result=result)
    study.run("b", 0, variant="b", env={"name": evil}, metrics=metrics, failure=evil)
    (path / "figures").mkdir()
    (path / "figures" / "x onerror=alert(1).png").write_bytes(b"png")
    text = written(study)
    assert evil not in text
    assert "<img src=x" not in text
    page = Page(outside_scripts(text))
    assert [sorted(attributes) for attributes in page.attributes("img")] == [["alt", "decoding", "src"]]
    (chart,) = charts_of(text).values()
    assert chart["title"] == f"{evil} (higher is better)"
    assert "<" not in chart["traces"][1]["name"].replace("<br>", "")


def test_without_a_finished_run_the_page_shows_how_far_the_others_got(study):
    study.run("a", 0, progress=PROGRESS.format(0, 0.1, 0.2))
    study.run("a", 1, failure="MemoryError", metrics=None)
    text = written(study)
    assert "No run is finished yet." in text
    assert "ppo: seed 1 failed (MemoryError), seed 0 unfinished." in text
    assert Page(outside_scripts(text)).attributes("table") == []
    assert len(charts_of(text)) == 2


def test_runs_without_any_progress_have_no_curves(study):
    study.run("a", result=RESULT)
    text = written(study)
    assert charts_of(text) == {}
    assert "Learning curves" not in text


def test_every_run_shows_its_files(two_variants):
    text = outside_scripts(written(two_variants))
    assert text.count("<h4>config.yaml</h4>") == text.count("<h4>provenance.json</h4>") == 6
    assert text.count("<h4>result.json</h4>") == 4
    assert text.count("<h4>failure.json</h4>") == 1
    assert "learning_rate: 0.01" in text
    assert "<code>b/seed_1</code>" in text
    assert "seed 1 <small>failed (FloatingPointError)</small>" in text
    assert "learning_rate=0.01 <small>1 finished, 1 failed, 1 unfinished</small>" in text


def test_each_environment_has_its_own_section(study):
    study.run("a", result=RESULT, progress=PROGRESS.format(0, 0.1, 0.2))
    metrics = [{"name": "incidence", "better": "lower", "meaning": ""}]
    study.run("b", env={"name": "other"}, metrics=metrics, result=RESULT, progress=PROGRESS.format(0, 0.1, 0.2))
    text = written(study)
    assert re.findall(r"<h2>(.*?)</h2>", text) == ["Environment kinetic", "Environment other"]
    titles = [chart["title"] for chart in charts_of(text).values() if "incidence" in chart["title"]]
    assert titles == ["incidence (higher is better)", "incidence (lower is better)"]
    assert re.findall(r'class="plot" id="(.*?)"', text) == list(charts_of(text))


def test_what_a_study_asks_for_is_said_where_it_belongs(study):
    study.run("a", 0, result=RESULT)
    study.run("b", 0, env={"name": "other"}, result=RESULT)
    jobs = [{"variant": "a", "seed": seed, "directory": f"a/seed_{seed}"} for seed in (0, 1)]
    reference = {"source": "Paper 2020", "rows": [{"variant": "theirs", "incidence": 0.99}]}
    (study.path / "study.json").write_text(
        json.dumps({"jobs": [*jobs, {"variant": "b", "seed": 0, "directory": "b/seed_0"}], "reference": reference})
    )
    (study.path / "b" / "study.json").write_text(
        json.dumps({"jobs": [{"variant": "b", "seed": seed, "directory": f"seed_{seed}"} for seed in (0, 7)]})
    )
    text = outside_scripts(written(study))
    _, kinetic, other = text.split("<h2>")
    assert "ppo: seed 1 missing." in kinetic
    assert "ppo: seed 7 missing." in other
    assert "Reported by others" in kinetic
    row = next(row for row in Page(text).rows if "theirs" in row[0])
    assert row == ["theirs (reported: Paper 2020)", "–", "0.99", "–", "–"]
    assert "<strong" not in kinetic.split("theirs")[1].split("</tr>")[0]


def test_one_run_is_a_page_too(study):
    path = study.run("a", result=RESULT)
    assert report([str(path)]) == 0
    text = (path / "report.html").read_text(encoding="utf-8")
    assert "<title>Runs of seed_0</title>" in text
    assert "<code>seed_0</code>" in text


def add_figures(path, **files):
    (path / "figures").mkdir()
    for name, content in files.items():
        (path / "figures" / name.replace("_", ".")).write_bytes(content)


def embedded(text):
    sources = [attributes["src"] for attributes in Page(outside_scripts(text)).attributes("img")]
    pairs = [re.fullmatch(r"data:(.*);base64,(.*)", source).groups() for source in sources]
    return [(kind, base64.b64decode(content)) for kind, content in pairs]


def test_figures_of_the_runs_are_embedded(study):
    path = study.run("a", result=RESULT)
    add_figures(path, curve_png=b"larger png", curve_svg=b"<svg/>", map_png=b"png", notes_txt=b"no figure")
    text = written(study)
    assert embedded(text) == [("image/svg+xml", b"<svg/>"), ("image/png", b"png")]
    alternatives = [attributes["alt"] for attributes in Page(outside_scripts(text)).attributes("img")]
    assert alternatives == ["Figure of ppo: curve, seed 0", "Figure of ppo: map, seed 0"]
    assert "one run of each variant" not in text


def test_of_many_runs_one_of_each_variant_shows_its_figures(study):
    for variant in range(2):
        for seed in range(7):
            finished = RESULT if seed else None
            path = study.run(f"v{variant}", seed, algo={"learning_rate": variant + 1}, result=finished)
            add_figures(path, curve_png=f"{variant} {seed}".encode())
    text = written(study)
    assert embedded(text) == [("image/png", b"0 1"), ("image/png", b"1 1")]  # seed 0 is not finished
    assert "More than 12 runs have figures: here are those of one run of each variant." in text


def test_plotly_missing_is_said(study, monkeypatch):
    study.run("a", result=RESULT)
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(UserError, match=r"draws with plotly, which is not installed: `pip install plotly`\."):
        report_page(find_runs(study.path), study.path)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], r"the following arguments are required: DIR; see `bioppo report --help`\."),
        (["{study}", "--out", "x"], r"unrecognized arguments: --out x"),
        (["{study}/nowhere"], r"nowhere: no such directory"),
        (["{study}/empty"], r"empty: holds no run"),
        (
            ["{study}", "--output", "{study}/empty"],
            r"--output \S+/empty: cannot be written \(Is a directory\); name a file",
        ),
    ],
)
def test_mistakes_of_the_report_end_in_one_sentence(study, words, sentence):
    study.run("a", result=RESULT)
    (study.path / "empty").mkdir()
    with pytest.raises(UserError, match=sentence) as raised:
        report([word.format(study=study.path) for word in words])
    assert "\n" not in str(raised.value)


def test_importing_the_command_is_light():
    code = (
        "import sys, bioppo.cli.report; print([name for name in ('numpy', 'pandas', 'plotly') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"

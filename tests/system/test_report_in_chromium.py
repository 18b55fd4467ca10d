"""The page of `bioppo report`, made of real runs, in a real browser without a network."""

import re
import shutil
import subprocess
import sys

import pytest
from playwright.sync_api import expect, sync_playwright

from bioppo.cli.report import main as report

pytestmark = pytest.mark.system

SWEEP = (
    "sweep env=kinetic algo=ppo,random,cma_es seed=0,1 env.lambda_part=-20 env.num_envs=32 budget=640 "
    "evaluation.every=160 evaluation.episodes=20 device=cpu hydra.sweep.dir=runs"
).split()
LINES = ".plot .scatterlayer .trace .lines path"
ROWS = "table tbody:nth-of-type({}) tr:not(.divider) > :first-child"


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    done = subprocess.run(
        [sys.executable, "-m", "bioppo.cli.main", *SWEEP],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert report([str(folder / "runs")]) == 0
    return folder / "runs" / "report.html"


@pytest.fixture(scope="module")
def browser():
    path = shutil.which("chromium")
    assert path, "chromium is not installed: `apt-get install chromium`"
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(params=["light", "dark"])
def scheme(request):
    return request.param


@pytest.fixture(params=[400, 1600])
def width(request):
    return request.param


@pytest.fixture
def opened(browser, page_file):
    """Return a function that opens the page; whatever the browser complains about fails the test."""
    complaints, contexts = [], []

    def open_page(width=1600, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda request: complaints.append(request.url))
        page.on("request", lambda request: complaints.extend(fetched(request.url)))
        page.goto(page_file.as_uri())
        for box in page.locator(".plot").all():
            box.scroll_into_view_if_needed()
            expect(box.locator(".main-svg").first).to_be_visible()
        return page

    def fetched(url):
        return [] if url.startswith("data:") or url == page_file.as_uri() else [url]

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def luminance(colour):
    """Return the relative luminance of ``rgb(r, g, b)``, as WCAG 2 defines it."""
    parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    darker, lighter = sorted([luminance(one), luminance(other)])
    return (lighter + 0.05) / (darker + 0.05)


def style(locator, name):
    return locator.evaluate(f"(element) => getComputedStyle(element).getPropertyValue('{name}')")


def test_tables_and_curves_are_seen_in_both_schemes_at_both_widths(opened, width, scheme):
    page = opened(width, scheme)
    expect(page.locator("h1")).to_be_visible()
    expect(page.locator("table")).to_be_visible()
    assert page.locator(ROWS.format(1)).all_inner_texts() == ["cma_es", "ppo", "random"]
    assert page.locator(ROWS.format(2)).count() >= 2  # baselines
    assert page.locator(".plot").count() >= 3
    assert page.locator(LINES).count() > page.locator(".plot").count()
    assert all("L" in path.get_attribute("d") for path in page.locator(LINES).all()[:3])
    assert page.evaluate("document.documentElement.scrollWidth") == width
    background = style(page.locator("body"), "background-color")
    assert (luminance(background) < 0.1) == (scheme == "dark")
    for text in (page.locator("h1"), page.locator("caption")):
        assert contrast(style(text, "color"), background) > 4.5
    best = page.locator("tbody td strong").first
    assert contrast(style(best, "color"), style(best, "background-color")) > 4.5
    for drawn in (page.locator(".plot .xtick text").first, page.locator(".plot .legendtext").first):
        assert contrast(style(drawn, "fill"), background) > 4.5
    page.locator("section > details > summary").last.click()
    page.locator("section > details[open] > details > summary").last.click()
    expect(page.locator("details[open] > details[open] > pre").first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_the_scheme_may_change_while_the_page_is_open(opened):
    page = opened(scheme="light")
    label = page.locator(".plot .xtick text").first
    before = style(label, "fill")
    page.emulate_media(color_scheme="dark")
    expect(page.locator(".plot .xtick text").first).not_to_have_css("fill", before)


def test_a_click_on_the_legend_hides_the_line_and_its_interval(opened):
    page = opened()
    box = page.locator(".plot").first
    before = box.locator(".scatterlayer .trace").count()
    box.locator(".legendtoggle").first.click()
    expect(box.locator(".scatterlayer .trace")).to_have_count(before - 2)
    # Being drawn anew for another width or scheme does not bring it back.
    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 700, "height": 900})
    page.wait_for_timeout(500)
    expect(box.locator(".scatterlayer .trace")).to_have_count(before - 2)
    page.wait_for_timeout(500)  # two clicks at once would mean something else
    box.locator(".legendtoggle").first.click()
    expect(box.locator(".scatterlayer .trace")).to_have_count(before)


def test_the_pointer_is_told_values(opened):
    page = opened()
    box = page.locator(".plot").first
    box.scroll_into_view_if_needed()
    area = box.locator(".nsewdrag").bounding_box()
    page.mouse.move(area["x"] + area["width"] / 2, area["y"] + area["height"] / 2)
    hover = box.locator(".hoverlayer")
    expect(hover).to_contain_text(re.compile(r"ppo \(2 seeds\) : \d[\d.e-]* \[.+, .+\]"))
    expect(hover).to_contain_text(re.compile(r"\(baseline\) : \d"))


def test_no_button_sends_a_chart_to_a_server(opened):
    page = opened()
    buttons = page.locator(".plot").first.locator(".modebar-btn")
    titles = [button.get_attribute("data-title") for button in buttons.all()]
    assert any("Zoom" in title for title in titles)
    assert not any(word in title.lower() for title in titles for word in ("share", "cloud", "studio", "edit"))


def test_a_click_on_a_head_sorts_and_keeps_baselines_apart(opened):
    page = opened()
    natural = [page.locator(ROWS.format(body)).all_inner_texts() for body in (1, 2)]
    for column in range(2, page.locator("thead th").count()):
        head = page.locator("thead th").nth(column)
        best_first = head.get_attribute("data-first")
        for direction in (best_first, {"ascending": "descending", "descending": "ascending"}[best_first]):
            head.locator("button").click()
            assert head.get_attribute("aria-sort") == direction
            assert page.locator("th[aria-sort]").count() == 1
            for body in (1, 2):
                cells = page.locator(f"table tbody:nth-of-type({body}) tr:not(.divider) > :nth-child({column + 1})")
                values = [cell.get_attribute("data-value") for cell in cells.all()]
                known = [float(value) for value in values if value]
                assert known == sorted(known, reverse=direction == "descending")
                assert all(values[: len(known)])
                assert sorted(page.locator(ROWS.format(body)).all_inner_texts()) == sorted(natural[body - 1])
    assert page.locator("tbody:nth-of-type(2) tr").first.inner_text() == "Baselines"
    page.locator("thead button").first.click()
    assert [page.locator(ROWS.format(body)).all_inner_texts() for body in (1, 2)] == natural


def test_the_keyboard_reaches_heads_and_details(opened):
    page = opened(400)
    page.locator("thead button").nth(2).focus()
    page.keyboard.press("Enter")
    assert page.locator("thead th").nth(2).get_attribute("aria-sort") == "descending"
    assert style(page.locator("thead button").nth(2), "outline-style") == "solid"


def test_figures_of_the_runs_are_seen(opened):
    page = opened()
    image = page.locator(".image img").first
    image.scroll_into_view_if_needed()
    expect(image).to_be_visible()
    page.wait_for_function("(image) => image.complete && image.naturalWidth > 100", arg=image.element_handle())

"""Train and predict as a person does: hand a file over, watch, pause, step, resume, download,
ask.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from driving import Page, appear, downloaded, read, resize
from test_page import barriers

from halfsquare import fit, load

STANDING = "return document.querySelector('#standing')?.dataset.standing"
DONE = "return document.querySelector('[data-standing=done]')"


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def rows(workplace: Path) -> Path:
    random = np.random.default_rng(11)
    x, kind = random.normal(size=90).round(3), random.choice(["a", "b"], 90)
    y = (2 * np.tanh(x) + (kind == "b") + random.normal(0, 0.1, 90)).round(4)
    lines = ["x,kind,y", *(",".join(map(str, row)) for row in zip(x, kind, y, strict=True))]
    path = workplace / "rows <i>.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def desk(start_browser: Callable[..., Any], workplace: Path) -> Iterator[Page]:
    """A server of its own: its runs are counted. A browser that keeps what it downloads."""
    from halfsquare.web.serve import PageServer

    running = PageServer()
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    with start_browser() as driver:
        where = {"behavior": "allow", "downloadPath": str(workplace)}
        driver.execute_cdp_cmd("Browser.setDownloadBehavior", where)
        driver.get(running.url)
        yield Page(driver, running.url)
    running.stop()
    thread.join(20)


@pytest.fixture(autouse=True)
def nothing_is_wrong(desk: Page) -> Any:
    """After every test: no complaint in the console, no request to another host."""
    desk.complaints(), desk.requested()
    yield
    assert desk.complaints() == []
    assert [url for url in desk.requested() if not url.startswith(desk.base + "/")] == []


def drawn(page: Page, count: int) -> None:
    """All figures are drawn, and there are so many."""
    page.wait(
        "return window.halfsquare && halfsquare.views.size === "
        "document.querySelectorAll('[data-spec]').length"
        " && !document.querySelector('[data-live] [data-standing=done]')"
    )
    assert page.run("return halfsquare.views.size") == count


def begin(page: Page, method: str, paused: bool = False, data: str = "", formula: str = "") -> str:
    """Start a run; returns its path."""
    if data:
        page.driver.get(f"{page.base}/train?data={data}")
    choose(page, "method", method)
    if formula:
        field = page.find("input[name=formula]")
        field.clear()
        field.send_keys(formula)
    if paused:
        page.run("document.querySelector('input[name=paused]').checked = true")
    page.find("button.go").click()
    page.wait("return location.pathname.startsWith('/train/runs/')")
    return str(page.run("return location.pathname"))


def choose(page: Page, name: str, value: str) -> None:
    page.find(f"input[name='{name}'][value='{value}']").click()


def act(page: Page, name: str) -> None:
    page.wait(
        f"const b = document.querySelector('[data-act={name}]');"
        "return b && b.getAttribute('aria-disabled') !== 'true'"
    )
    page.find(f"[data-act={name}]").click()


def hand_over(page: Page, path: Path) -> None:
    page.driver.get(page.base + "/train?data=houses")
    page.find(".upload input").send_keys(str(path))


def test_a_file_is_trained_to_its_end_and_the_model_is_the_command_lines(
    desk: Page, rows: Path, workplace: Path
) -> None:
    hand_over(desk, rows)
    desk.wait("return location.search.includes('upload-')")
    assert "rows <i>.csv" in read(desk, ".sets a[aria-current]")
    assert "x" in read(desk, ".preview")
    begin(desk, "minibatch")
    desk.wait(DONE)
    drawn(desk, 4)
    desk.find("a[href$='model.hsq']").click()
    page_model = load(downloaded(workplace / "y.hsq"))
    line_model = fit(str(rows), "y", model="linear", method="minibatch")
    assert page_model.predict(rows).tobytes() == line_model.predict(rows).tobytes()
    assert float(read(desk, "#rmse")) == pytest.approx(line_model.test["rmse"], rel=1e-3)
    desk.find("a[href$='report.html']").click()
    assert "<html" in downloaded(workplace / "y.html").read_text(encoding="utf-8")


def test_a_refused_file_is_read_as_the_form_says(desk: Page, workplace: Path) -> None:
    days = [f"{1 + i % 12:02}/{1 + i // 12:02}/2023" for i in range(144)]
    rows = [f"{day};Größe {i % 3};{i + i % 5}" for i, day in enumerate(days)]
    path = workplace / "odd.csv"
    path.write_bytes("\n".join(["day;kind;y", *rows]).encode("latin-1"))
    hand_over(desk, path)
    desk.wait("return document.querySelector('#upload-said.problem')")
    desk.wait_for_complaints(1)  # the console tells the refused request
    assert "“Encoding” latin-1" in read(desk, "#upload-said")
    assert desk.run("return document.querySelector('form.reading details').open")
    desk.find("form.reading input[name=encoding]").send_keys("latin-1")
    desk.find("form.reading input[name=dates]").send_keys("dmy")
    desk.find("form.reading button").click()
    desk.wait("return location.search.includes('upload-')")
    assert "Größe 1" in read(desk, ".preview")
    assert desk.find("form.reading input[name=dates]").get_attribute("value") == "dmy"
    begin(desk, "linear")
    desk.wait(DONE)
    drawn(desk, 3)
    assert "dates as dd/mm/yyyy, from 2023-01-01 to 2023-12-12" in read(desk, "details.read")
    strip, sentence = (desk.find(s).rect["y"] for s in ("details.read", "#standing"))
    assert strip < sentence


def test_pause_step_resume_and_stop(desk: Page) -> None:
    begin(desk, "gradient", paused=True, data="houses")
    desk.wait(f"{STANDING} === 'paused'")
    assert read(desk, "#step") == "0"
    first = float(read(desk, "#loss"))
    # Step 0 is drawn, and stays: the greatest fall is from there.
    desk.wait("return halfsquare.views.get('descent')?.data('lines').some((r) => r.i === 0)")
    act(desk, "step")
    desk.wait("return document.querySelector('#step').textContent === '1'")
    assert float(read(desk, "#loss")) < first
    arrows = desk.wait(
        "const w = halfsquare.views.get('weights').data('weights').filter((w) => w.side);"
        "return w.length && w"
    )
    # An arrow is as long as the step: it ends where the weight stands, on the scale of the axis.
    assert all(a["side"] == (a["value"] > a["before"]) - (a["value"] < a["before"]) for a in arrows)
    pause = desk.find("[data-act=pause]")
    assert pause.text == "Resume"
    pause.click()
    desk.wait("return document.querySelector('[data-act=pause]')?.textContent !== 'Resume'")
    desk.wait(DONE)
    assert "Typical error" in read(desk, "#standing")
    begin(desk, "gradient", paused=True, data="houses")
    desk.wait(f"{STANDING} === 'paused'")
    act(desk, "stop")
    desk.wait(DONE)
    assert "best so far" in read(desk, "#answer")


def test_pausing_keeps_the_focus_and_says_nothing_of_the_server(desk: Page) -> None:
    begin(desk, "gradient", paused=True, data="houses")
    desk.wait(f"{STANDING} === 'paused'")
    desk.run("document.querySelector('[data-act=step]').focus()")
    for step in ("1", "2", "3"):
        act(desk, "step")
        desk.wait(f"return document.querySelector('#step').textContent === '{step}'")
        assert desk.run("return document.activeElement.dataset.act") == "step"
    assert "does not answer" not in read(desk, "body")
    act(desk, "stop")
    desk.wait(DONE)
    assert "does not answer" not in read(desk, "body")


def test_two_tabs_see_the_same_run_and_a_closed_one_does_not_lose_it(desk: Page) -> None:
    path = begin(desk, "gradient", paused=True, data="houses")
    desk.wait(f"{STANDING} === 'paused'")
    first = desk.driver.current_window_handle
    desk.driver.switch_to.new_window("tab")
    desk.driver.get(desk.base + path)
    desk.wait(f"{STANDING} === 'paused'")
    act(desk, "step")
    desk.wait("return document.querySelector('#step').textContent === '1'")
    desk.driver.switch_to.window(first)
    desk.wait("return document.querySelector('#step').textContent === '1'")
    desk.driver.close()
    desk.driver.switch_to.window(desk.driver.window_handles[0])
    waiting = begin(desk, "linear", data="growth")  # waits for the one before it
    desk.wait(f"{STANDING} === 'waiting'")
    desk.driver.get(desk.base + path)
    act(desk, "pause")
    desk.wait(DONE)
    desk.driver.get(desk.base + waiting)
    desk.wait(DONE)


def test_runs_are_compared_and_removed(desk: Page) -> None:
    paths = [begin(desk, method, data="houses") for method in ("gradient", "minibatch")]
    desk.wait(DONE)
    desk.driver.get(desk.base + "/train")
    for path in paths:
        number = path.rsplit("/", 1)[1]
        desk.find(f"input[name=run][value='{number}']").click()
    desk.find("button[form=compare]").click()
    drawn(desk, 1)
    assert "cannot tell them apart" in read(desk, "main")
    ends = desk.run("return halfsquare.views.get('compared').data('tips').map((t) => t.name)")
    assert len(ends) == 2
    desk.driver.get(desk.base + "/train")
    number = paths[0].rsplit("/", 1)[1]
    desk.find(f"button[aria-label='Remove run {number}']").click()
    desk.wait(f"return !document.querySelector(\"a[href='{paths[0]}']\")")
    assert desk.find(f"a[href='{paths[1]}']")


def test_the_loss_can_be_replayed_a_step_at_a_time(desk: Page) -> None:
    from selenium.webdriver import Keys

    begin(desk, "gradient", data="houses")
    desk.wait(DONE)
    drawn(desk, 4)
    slider = desk.find("#until")
    slider.send_keys(Keys.HOME, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    desk.wait("return halfsquare.views.get('descent').signal('until') === 2")
    assert read(desk, "output[for=until]") == "2"
    desk.find("[data-replay]").click()
    desk.wait("return halfsquare.views.get('descent').signal('until') > 2")
    desk.wait(
        "return document.querySelector('[data-replay]').getAttribute('aria-pressed') === 'false'"
    )
    assert desk.run("return halfsquare.views.get('descent').signal('until')") >= 1e15


def test_the_loss_held_out_is_drawn_and_named(desk: Page) -> None:
    from selenium.webdriver import ActionChains

    begin(desk, "gradient", data="houses")
    desk.wait(DONE)
    drawn(desk, 4)
    lines = desk.run("return halfsquare.views.get('descent').data('lines')")
    measured = [row for row in lines if row["phase"] == "measure"]
    assert measured[0]["i"] == 0 and all(row["held"] is not None for row in measured)
    assert all(row["held"] is None for row in lines if row["phase"] == "refit")
    words = desk.run("return document.querySelector('#descent svg').textContent")
    assert "training" in words and "held out" in words
    ActionChains(desk.driver).move_to_element_with_offset(
        desk.find("#descent svg"), -60, 40
    ).perform()
    desk.wait(
        "return /step \\d+: [\\d.]+, held out [\\d.]+/.test("
        "document.querySelector('#descent svg').textContent)"
    )
    slider = desk.find("#until")
    for _ in range(2):
        desk.find("[data-by='-1']").click()
    desk.find("[data-by='1']").click()
    most = int(slider.get_attribute("max"))
    assert slider.get_property("valueAsNumber") == most - 1
    # The path over the weights goes back with it.
    desk.wait(f"return halfsquare.views.get('surface').signal('until') === {most - 1}")


def test_the_loss_over_any_two_weights_is_drawn(desk: Page) -> None:
    from selenium.webdriver.support.ui import Select

    begin(desk, "gradient", data="houses")
    desk.wait(DONE)
    drawn(desk, 4)
    desk.wait("return document.querySelector('#surface-said').textContent.includes('900 rows')")
    contours = "return document.querySelectorAll('#surface svg .mark-path path').length"
    assert desk.wait(contours) >= 8
    path = desk.run("return halfsquare.views.get('surface').data('path')")
    assert path[0]["a"] == path[0]["b"] == 0  # where a linear model begins
    across, up = (Select(one) for one in desk.driver.find_elements("css selector", "select"))
    across.select_by_visible_text("rooms")
    up.select_by_visible_text("age")
    desk.wait("return halfsquare.views.get('surface').signal('a_name') === 'rooms'")
    said = desk.wait(
        "const t = document.querySelector('#surface-said').textContent;"
        "return t.includes('over rooms and age') && t"
    )
    assert "other weights moved" in said
    assert "rooms" in desk.run("return document.querySelector('#surface svg').textContent")
    up.select_by_visible_text("rooms")
    desk.wait("return document.querySelector('#surface-said').textContent.includes('differ')")


def test_how_the_table_was_read_stands_above_the_numbers(desk: Page, rows: Path) -> None:
    begin(desk, "linear", data="houses")
    desk.wait(DONE)
    strip = desk.find(".read")
    assert "How the table was read" in strip.text
    below = desk.find("#standing")
    assert strip.location["y"] < below.location["y"]
    desk.run("document.querySelector('.read').open = true")
    assert "category" in desk.find(".read").text


def test_a_figure_is_one_image_with_a_description(desk: Page) -> None:
    begin(desk, "gradient", data="houses")
    desk.wait(DONE)
    drawn(desk, 4)
    assert (
        desk.run("return document.querySelectorAll('.figure-place svg [aria-label]').length") == 0
    )
    assert desk.run(
        "return [...document.querySelectorAll('.figure-place svg')]"
        ".every((s) => s.getAttribute('role') === 'img' && s.getAttribute('aria-label'))"
    )


def test_a_formula_is_fitted_from_its_start(desk: Page) -> None:
    desk.driver.get(desk.base + "/train?data=growth")
    assert desk.find("input[name=formula]").is_displayed()
    assert not desk.find("select[name=target]").is_displayed()
    begin(desk, "formula")
    desk.wait(DONE)
    assert "top" in read(desk, ".parameters")


def test_least_squares_is_there_at_once(desk: Page) -> None:
    begin(desk, "linear", data="houses")
    desk.wait(DONE)
    assert "Solved at once" in read(desk, "#answer")
    drawn(desk, 3)


def test_a_bad_file_is_refused_in_words(desk: Page, workplace: Path) -> None:
    for name, content, words in (
        ("twice.csv", "x,x\n1,2\n", "two columns named"),
        ("empty.csv", "", "empty"),
        ("sheet.docx", "x", "ends in none of"),
    ):
        (workplace / name).write_text(content)
        hand_over(desk, workplace / name)
        desk.wait(
            "return document.querySelector('#upload-said')"
            f".textContent.includes({json.dumps(words)})"
        )
        assert desk.complaints()  # the browser itself reports the 400
    desk.run("document.querySelector('.upload').dataset.limit = 3")
    (workplace / "large.csv").write_text("x,y\n1,2\n")
    desk.find(".upload input").send_keys(str(workplace / "large.csv"))
    desk.wait("return document.querySelector('#upload-said').textContent.includes('at most')")


def test_predict_a_row_and_ask_about_the_truth(desk: Page) -> None:
    begin(desk, "linear", data="houses")
    desk.wait(DONE)
    desk.find("#answer a[href^='/predict']").click()
    drawn(desk, 3)
    before = read(desk, "#output")
    area = desk.find("input[name='x.area']")
    area.clear()
    area.send_keys("200")
    desk.wait(f"return document.querySelector('#output').textContent !== {json.dumps(before)}")
    output = desk.run("return halfsquare.views.get('truth').signal('output')")
    shown = float(read(desk, "#output").replace(",", ""))
    assert shown == pytest.approx(output, rel=1e-3)
    columns = desk.run("return halfsquare.views.get('parts').data('parts').map((p) => p.name)")
    assert columns[0] == "area"
    truth = desk.find("input[name=truth]")
    truth.clear()
    truth.send_keys("1000")
    desk.wait("return document.querySelector('#sentence').textContent.includes('too high')")
    assert "positive" in read(desk, "#sentence")
    # The words and the figure round alike.
    label = read(desk, "#error").replace("+", "")
    desk.wait(f"return document.querySelector('#truth svg').textContent.includes('{label}')")
    area.clear()  # missing: the average row
    desk.wait(
        "return document.querySelector('[role=alert]').hidden && document.querySelector('#error')"
    )


def test_a_slider_moves_the_row_and_says_where_training_ended(desk: Page) -> None:
    from selenium.webdriver import Keys

    begin(desk, "linear", data="houses")
    desk.wait(DONE)
    desk.find("#answer a[href^='/predict']").click()
    drawn(desk, 3)
    slider = desk.find("input[type=range][data-column='x.rooms']")
    number = desk.find("input[name='x.rooms']")
    slider.send_keys(Keys.END)
    desk.wait(
        "return halfsquare.views.get('effect').signal('effect_name') === 'The output over rooms'"
    )
    assert float(number.get_property("value")) == float(slider.get_attribute("max"))
    outside = desk.find(f"#{number.get_attribute('id')}-outside")
    assert not outside.is_displayed()
    number.clear()
    number.send_keys("99")
    assert outside.is_displayed()
    desk.wait("return halfsquare.views.get('effect').data('row')[0].x === 99")


def test_a_minus_does_not_wipe_the_answer(desk: Page) -> None:
    desk.open("/one-example?target=3&output=2.2")
    field = desk.find("input[name=output]")
    field.clear()
    field.send_keys("-")
    assert desk.find("#gradient").is_displayed()
    field.send_keys("5")
    desk.wait("return document.querySelector('#gradient').textContent === '−8'")
    assert not desk.find("[role=alert]").is_displayed()


def test_a_huge_target_stays_in_its_card(desk: Page) -> None:
    for width in (390, 1440):
        resize(desk.driver, width, 900)
        desk.open("/one-example?target=1e9&output=123456.7")
        out = desk.run(
            "return [...document.querySelectorAll('.card dd, .card p, .card td')]"
            ".filter((e) => e.scrollWidth > e.clientWidth + 1).length"
        )
        assert out == 0
        assert desk.run("return document.documentElement.scrollWidth") == width
    resize(desk.driver, 1440, 1000)


def test_ticks_of_a_narrow_range_differ(desk: Page) -> None:
    """All of them said 123k."""
    desk.open("/one-example?target=123456&output=123450")
    ticks = desk.run(
        "return [...document.querySelectorAll('#figure .role-axis-label text')]"
        ".map((t) => t.textContent).filter((t) => t.includes('k'))"
    )
    assert len(ticks) > 2 and len(set(ticks[: len(ticks) // 2])) == len(ticks) // 2


def test_without_a_layout_that_jumps_or_overflows(desk: Page) -> None:
    path = begin(desk, "gradient", paused=True, data="houses")
    desk.wait(f"{STANDING} === 'paused'")
    drawn(desk, 3)
    where = "return document.querySelector('#weights').getBoundingClientRect().top + scrollY"
    before = desk.run(where)
    for step in ("1", "2", "3"):
        act(desk, "step")
        desk.wait(f"return document.querySelector('#step').textContent === '{step}'")
    assert abs(desk.run(where) - before) <= 1
    for one in ("/train", path, "/train?data=growth", "/predict"):
        resize(desk.driver, 390, 844)
        desk.driver.get(desk.base + one)
        assert desk.run("return document.documentElement.scrollWidth") == 390, one
    resize(desk.driver, 1440, 1000)
    desk.driver.get(desk.base + path)
    act(desk, "stop")
    desk.wait(DONE)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_no_barrier(desk: Page, dark: bool) -> None:
    appear(desk.driver, dark)
    path = begin(desk, "gradient", paused=True, data="houses")
    desk.wait(f"{STANDING} === 'paused'")
    drawn(desk, 3)
    found = {"run": barriers(desk)}
    act(desk, "stop")
    desk.wait(DONE)
    begin(desk, "linear", data="houses")
    desk.wait(DONE)
    failed = begin(desk, "formula", data="growth", formula="height ~ a*log(0 - days)")
    desk.wait(f"{STANDING} === 'failed'")
    numbers = [path.rsplit("/", 1)[1], str(int(failed.rsplit("/", 1)[1]) - 1)]
    compared = "/train/compare?" + "&".join(f"run={number}" for number in numbers)
    paths = (path, failed, compared, "/train?data=houses", "/train?data=growth", "/predict")
    for one in paths:
        desk.driver.get(desk.base + one)
        time.sleep(0.5)
        found[one] = barriers(desk)
    appear(desk.driver, False)
    assert found == {name: [] for name in found}

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
    """A server of its own, since there is one run at a time, and a browser that keeps what it
    downloads.
    """
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


def begin(page: Page, way: str, pace: str = "full", data: str = "") -> None:
    if data:
        page.driver.get(f"{page.base}/train?data={data}")
    choose(page, "way", way)
    choose(page, "pace", pace)
    page.find("button.go").click()
    page.wait("return location.pathname === '/train/run'")


def choose(page: Page, name: str, value: str) -> None:
    page.find(f"input[name='{name}'][value='{value}']").click()


def act(page: Page, name: str) -> None:
    page.wait(f"const b = document.querySelector('[data-act={name}]'); return b && !b.disabled")
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
    drawn(desk, 3)
    desk.find("a[href$='model.hsq']").click()
    page_model = load(downloaded(workplace / "y.hsq"))
    line_model = fit(str(rows), "y", model="linear", method="minibatch")
    assert page_model.predict(rows).tobytes() == line_model.predict(rows).tobytes()
    assert float(read(desk, "#rmse")) == pytest.approx(line_model.test["rmse"], rel=1e-3)
    desk.find("a[href$='report.html']").click()
    assert "<html" in downloaded(workplace / "y.html").read_text(encoding="utf-8")


def test_pause_step_resume_and_stop(desk: Page) -> None:
    begin(desk, "gradient", "slow", data="houses")
    desk.wait("return Number(document.querySelector('#step').textContent) > 1")
    act(desk, "pause")
    desk.wait(f"{STANDING} === 'paused'")
    paused = int(read(desk, "#step"))
    loss = read(desk, "#loss")
    time.sleep(0.5)
    assert int(read(desk, "#step")) == paused
    assert not desk.find("[data-act=pause]").is_enabled()
    arrows = "return halfsquare.views.get('weights').data('weights').filter((w) => w.side).length"
    assert desk.run(arrows) > 0
    act(desk, "step")
    desk.wait(f"return Number(document.querySelector('#step').textContent) === {paused + 1}")
    assert float(read(desk, "#loss")) <= float(loss)
    act(desk, "resume")
    desk.wait(f"return Number(document.querySelector('#step').textContent) > {paused + 2}")
    act(desk, "stop")
    desk.wait(DONE)
    assert "best so far" in read(desk, "#standing")


def test_two_tabs_see_the_same_run_and_a_closed_one_does_not_lose_it(desk: Page) -> None:
    begin(desk, "gradient", "step", data="houses")
    desk.wait(f"{STANDING} === 'paused'")
    first = desk.driver.current_window_handle
    desk.driver.switch_to.new_window("tab")
    desk.driver.get(desk.base + "/train")  # leads to the run
    desk.wait(f"{STANDING} === 'paused'")
    act(desk, "step")
    desk.wait("return document.querySelector('#step').textContent === '2'")
    desk.driver.switch_to.window(first)
    desk.wait("return document.querySelector('#step').textContent === '2'")
    desk.driver.close()
    desk.driver.switch_to.window(desk.driver.window_handles[0])
    desk.driver.get(desk.base + "/train?data=growth")
    choose(desk, "way", "linear")
    desk.find("button.go").click()
    desk.wait("return document.body.textContent.includes('One training run at a time')")
    assert desk.complaints()  # the browser itself reports the 409
    desk.driver.get(desk.base + "/train")
    act(desk, "fast")
    desk.wait(DONE)


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
    assert "Solved at once" in read(desk, "#standing")
    drawn(desk, 2)


def test_a_bad_file_is_refused_in_words(desk: Page, workplace: Path) -> None:
    for name, content, words in (
        ("twice.csv", "x,x\n1,2\n", "two columns named"),
        ("empty.csv", "", "empty"),
        ("sheet.xlsx", "x", "ends in none of"),
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
    desk.find("a[href^='/predict']").click()
    drawn(desk, 2)
    before = read(desk, "#output")
    area = desk.find("input[name=f0]")
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
    area.clear()  # missing: the average row
    desk.wait("return !document.querySelector('[role=alert]') && document.querySelector('#error')")


def test_without_a_layout_that_jumps_or_overflows(desk: Page) -> None:
    begin(desk, "gradient", "slow", data="houses")
    drawn(desk, 3)
    where = "return document.querySelector('#weights').getBoundingClientRect().top + scrollY"
    before = desk.run(where)
    desk.wait("return Number(document.querySelector('#step').textContent) > 5")
    assert abs(desk.run(where) - before) <= 1
    for path in ("/train", "/train/run", "/train?data=growth", "/predict"):
        resize(desk.driver, 390, 844)
        desk.driver.get(desk.base + path)
        assert desk.run("return document.documentElement.scrollWidth") == 390, path
    resize(desk.driver, 1440, 1000)
    desk.driver.get(desk.base + "/train/run")
    act(desk, "stop")
    desk.wait(DONE)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_no_barrier(desk: Page, dark: bool) -> None:
    appear(desk.driver, dark)
    begin(desk, "gradient", "step", data="houses")
    desk.wait(f"{STANDING} === 'paused'")
    drawn(desk, 3)
    found = {"run": barriers(desk)}
    act(desk, "stop")
    desk.wait(DONE)
    for path in ("/train/run", "/train?data=houses", "/train?data=growth", "/predict"):
        desk.driver.get(desk.base + path)
        time.sleep(0.5)
        found[path] = barriers(desk)
    appear(desk.driver, False)
    assert found == {name: [] for name in found}

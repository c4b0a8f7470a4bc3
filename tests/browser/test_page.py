"""The page as a person uses it: drag, type, choose, on a phone and at a desk, in light and dark."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from driving import Page, appear, read, resize

from halfsquare.explain.one_example import explain_example
from halfsquare.figures.save import save_example
from halfsquare.figures.theme import DARK, LIGHT

PAGES = ["/one-example", "/many-examples"]
AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture(autouse=True)
def nothing_is_wrong(page: Page) -> Any:
    """After every test: no complaint in the console, no request to another host."""
    page.complaints(), page.requested()
    yield
    assert page.complaints() == []
    assert [url for url in page.requested() if not url.startswith(page.base + "/")] == []


def drag(page: Page, handle: str, by: int) -> None:
    from selenium.webdriver import ActionChains

    target = page.find(f"[class*='{handle}'] path")
    pull = ActionChains(page.driver, duration=50).move_to_element(target).click_and_hold()
    for _ in range(4):
        pull = pull.move_by_offset(by // 4, 0)
    pull.release().perform()


def signal(page: Page, name: str) -> Any:
    return page.run("return [...halfsquare.views.values()][0].signal(arguments[0])", name)


def type_into(page: Page, name: str, text: str) -> None:
    field = page.find(f"input[name='{name}']")
    field.clear()
    field.send_keys(text)


def barriers(page: Page) -> list[Any]:
    """What axe finds wrong with the page: rule, explanation, elements."""
    if not AXE.is_file():
        pytest.fail("axe-core is missing: run npm ci --prefix tests/browser", pytrace=False)
    # The driver may add a script; for anyone else the content policy forbids it.
    page.run(AXE.read_text(encoding="utf-8"))
    found: list[Any] = page.driver.execute_async_script(
        "const done = arguments[0]; axe.run(document, { resultTypes: ['violations'] })"
        ".then((r) => done(r.violations.map((v) => [v.id, v.help, v.nodes.map((n) => "
        "n.html.slice(0, 200))])));"
    )
    return found


def test_the_address_opens_the_first_page_and_loses_its_token(page: Page, server: str) -> None:
    page.driver.get(server)
    assert page.driver.current_url.startswith(page.base + "/one-example")
    assert "token" not in page.driver.current_url
    assert page.run("return document.cookie") == ""  # HttpOnly


def test_drag_the_output_across_the_target_and_read_the_changed_gradient(page: Page) -> None:
    page.open("/one-example?target=3&output=2.2")
    assert page.text("#gradient") == "−0.8"
    assert "too low by 0.8" in page.text("#sentence")
    per_unit = signal(page, "width") / (signal(page, "high_end") - signal(page, "low_end"))
    drag(page, "output_handle", round(1.2 * per_unit / 4) * 4)
    page.wait("return document.querySelector('#gradient').textContent[0] !== '−'")
    output = signal(page, "output")
    assert output == pytest.approx(3.4, abs=0.03)
    assert page.find("input[name='output']").get_property("valueAsNumber") == output
    page.wait(
        f"return document.querySelector('#sentence').textContent.includes('{output:.6g} is "
        "too high')"
    )
    assert float(page.text("#gradient")) == pytest.approx(output - 3, abs=1e-6)
    assert page.text("#step") == f"−{output - 3:.6g}"
    assert "too high" in page.text("#figure svg")


def test_drag_with_a_finger_on_a_phone(
    page: Page, server: str, start_browser: Callable[..., Any]
) -> None:
    with start_browser(390, 844) as driver:
        driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})
        driver.get(server)
        phone = Page(driver, server)
        phone.open("/one-example?target=3&output=2.2")
        box = phone.run(
            "return document.querySelector('[class*=output_handle] "
            "path').getBoundingClientRect().toJSON()"
        )
        x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

        def touch(kind: str, *points: float) -> None:
            places = [{"x": at, "y": y} for at in points]
            driver.execute_cdp_cmd(
                "Input.dispatchTouchEvent", {"type": kind, "touchPoints": places}
            )

        touch("touchStart", x + 9)  # beside the point: the handle is as large as a finger
        for by in (10, 40, 80, 120):
            touch("touchMove", x + 9 + by)
        touch("touchEnd")
        phone.wait("return document.querySelector('#sentence').textContent.includes('too high')")
        assert phone.complaints() == []


def test_drag_the_gradients_point_and_the_target(page: Page) -> None:
    page.open("/one-example?target=3&output=2.2")
    drag(page, "gradient_handle", 40)
    page.wait("return document.querySelector('#gradient').textContent !== '−0.8'")
    assert signal(page, "output") > 2.2
    before = signal(page, "output")
    drag(page, "target_handle", -120)
    page.wait("return halfsquare.views.get('figure').signal('target') < 3")
    assert signal(page, "output") == before
    moved = signal(page, "target")
    page.wait(f"return document.querySelector('input[name=target]').valueAsNumber === {moved}")


def test_type_numbers_that_lie_outside_the_figure(page: Page) -> None:
    page.open("/one-example")
    type_into(page, "output", "25")
    page.wait("return document.querySelector('#gradient').textContent === '22'")
    assert signal(page, "low_end") < 3 < 25 < signal(page, "high_end")
    assert page.text("#value") == "242"
    assert "output=25" in page.driver.current_url
    page.driver.refresh()
    page.wait("return document.querySelector('#gradient').textContent === '22'")


def test_the_four_conventions_change_the_scale_and_not_the_step(page: Page) -> None:
    page.open("/one-example?target=3&output=2.2")
    for name, value, gradient in [
        ("sse", "0.64", "−1.6"),
        ("mse", "0.64", "−1.6"),
        ("half_mse", "0.32", "−0.8"),
    ]:
        page.find(f"input[value='{name}']").click()
        page.wait(f"return document.querySelector('#value').textContent === '{value}'")
        assert read(page, "#gradient") == gradient
        assert read(page, "#step") == "0.8"
        assert signal(page, "convention") == name
        page.wait(  # textContent: what is drawn has no innerText
            "return document.querySelector('#figure svg')?.textContent"
            f".includes('gradient {gradient}')"
        )


def test_what_is_no_number_is_said(page: Page) -> None:
    page.open("/one-example")
    type_into(page, "target", "1e")
    page.wait("return !document.querySelector('[role=alert]').hidden")
    assert "Type a number" in page.text("[role=alert]")
    type_into(page, "target", "4")
    page.wait("return document.querySelector('#gradient').textContent === '−1.8'")
    assert not page.find("[role=alert]").is_displayed()


def test_everything_by_keyboard(page: Page) -> None:
    from selenium.webdriver import ActionChains, Keys

    page.open("/one-example?target=3&output=2.2")
    names: list[str] = []
    while "convention" not in names and len(names) < 20:
        ActionChains(page.driver).send_keys(Keys.TAB).perform()
        names.append(
            page.run("const e = document.activeElement; return e.name || e.textContent.trim()")
        )
    assert names[0] == "Skip to the content"
    assert names[-3:] == ["target", "output", "convention"]
    ActionChains(page.driver).send_keys(Keys.ARROW_RIGHT).perform()
    page.wait("return document.querySelector('#value').textContent === '0.64'")


def test_more_rows_more_sse_and_a_smaller_standard_error(page: Page) -> None:
    from selenium.webdriver import Keys

    page.open("/many-examples")
    sse, error = float(page.text("#sse")), float(page.text("#mse-se"))
    page.find("#rows").send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    page.wait("return document.querySelector('#rows-total').textContent === '1024'")
    assert float(page.text("#sse")) > 3 * sse
    assert float(page.text("#mse-se")) < 0.7 * error
    assert page.text("output[for=rows]") == "1024"
    assert "SSE" in page.text("#growth svg")


def test_a_larger_batch_scatters_less(page: Page) -> None:
    from selenium.webdriver import Keys

    page.open("/many-examples")
    before = float(page.text("#scatter-size"))
    page.find("#batch").send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    page.wait(
        f"return Math.abs(document.querySelector('#scatter-size').textContent - {before}) > 0.01"
    )
    assert float(page.text("#scatter-size")) == pytest.approx(before / 2, rel=0.2)


def test_the_number_of_rows_is_dragged_and_the_slider_follows(page: Page) -> None:
    from selenium.webdriver import ActionChains

    page.open("/many-examples")
    figure = page.find("#growth svg")
    width = figure.size["width"]
    pull = ActionChains(page.driver, duration=50).move_to_element_with_offset(figure, 0, -60)
    pull.click_and_hold().move_by_offset(round(0.15 * width), 0).release().perform()
    page.wait("return Number(document.querySelector('#rows-total').textContent) > 256")
    rows = int(page.text("#rows-total"))
    assert page.text("output[for=rows]") == str(rows)
    assert page.run("return halfsquare.views.get('growth').signal('chosen')") == rows
    assert page.run("return halfsquare.views.get('sample').data('sample').length") == 400
    assert rows & (rows - 1) == 0  # a power of two: one of those on the slider


def test_noise_is_set_and_seen_in_the_rows_and_in_the_sums(page: Page) -> None:
    from selenium.webdriver import Keys

    page.open("/many-examples")
    mse = float(page.text("#mse"))
    page.find("#noise").send_keys(Keys.END)
    page.wait(f"return Number(document.querySelector('#mse').textContent) > {2 * mse}")
    assert float(page.text("output[for=noise]")) == 2
    lines = "return [...halfsquare.views.get('sample').data('{}')].length"
    assert page.run(lines.format("line")) == page.run(lines.format("best")) == 2


def test_copies_double_the_sums_and_leave_the_means(page: Page) -> None:
    page.open("/many-examples")
    sse, mse = float(page.text("#sse")), page.text("#mse")
    page.find("input[name=copies][value='2']").click()
    page.wait("return document.querySelector('#rows-total').textContent === '512'")
    assert float(page.text("#sse")) == pytest.approx(2 * sse, rel=1e-4)
    assert page.text("#mse") == mse


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("path", PAGES)
def test_nothing_sticks_out_and_nothing_jumps(page: Page, path: str, width: int) -> None:
    resize(page.driver, width, 900)
    page.driver.get(page.base + path)
    page.run(
        "window.shifts = 0; new PerformanceObserver((list) => list.getEntries().forEach((e) "
        "=> { shifts += e.value; }))"
        ".observe({ type: 'layout-shift', buffered: true });"
    )
    page.wait(
        "return window.halfsquare && halfsquare.views.size === "
        "document.querySelectorAll('[data-spec]').length"
    )
    page.run("return new Promise((done) => setTimeout(done, 300))")
    assert page.run("return document.documentElement.scrollWidth") == width
    assert page.run("return shifts") < 0.01
    stuck_out = page.run(
        "const right = (e) => e.getBoundingClientRect().right;"
        "return [...document.querySelectorAll('svg')].filter((e) => right(e) > innerWidth).length"
        " + [...document.querySelectorAll('td, th')].filter((e) => e.scrollWidth > "
        "e.clientWidth).length"
    )
    assert stuck_out == 0
    resize(page.driver, 1440, 1000)


def test_dark_and_light_follow_the_system_without_a_reload(page: Page) -> None:
    page.open("/one-example")
    for dark, theme in ((True, DARK), (False, LIGHT)):
        appear(page.driver, dark)
        page.wait(f"return halfsquare.views.get('figure').signal('low') === '{theme.low}'")
        paper = page.run(
            "return getComputedStyle(document.documentElement).getPropertyValue('--paper').trim()"
        )
        assert paper == theme.paper


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("path", [*PAGES, "/nothing"])
def test_axe_finds_no_barrier(page: Page, path: str, dark: bool) -> None:
    appear(page.driver, dark)
    page.open(path) if path in PAGES else page.driver.get(page.base + path)
    found = barriers(page)
    appear(page.driver, False)
    if path == "/nothing":
        page.complaints()  # the browser itself reports the 404
    assert found == []


def test_a_wrong_token_is_refused_in_words(server: str, start_browser: Callable[..., Any]) -> None:
    with start_browser(390, 844) as driver:
        for address in (
            server.split("?")[0] + "?token=wrong",
            server.split("?")[0] + "one-example",
        ):
            driver.get(address)
            body = driver.find_element("css selector", "body").text
            assert "does not know you yet" in body
            assert "Gradient" not in body


def test_the_content_policy_is_enforced(page: Page) -> None:
    page.open("/one-example")
    page.run(
        "const s = document.createElement('script'); s.textContent = 'window.ran = 1'; "
        "document.body.append(s);"
    )
    assert page.run("return window.ran") is None
    # A moment later: while the driver itself evaluates, the browser lets it.
    page.run(
        "setTimeout(() => { try { Function('')(); window.told = 'ran'; } catch (e) { "
        "window.told = e.name; } }, 50)"
    )
    assert page.wait("return window.told") == "EvalError"
    page.run("const i = new Image(); i.src = 'http://127.0.0.2:9/x.png'; document.body.append(i);")
    told = page.wait_for_complaints(3)
    assert all("Content Security Policy" in line for line in told)
    assert any("x.png" in line and "blocked" in line for line in told)
    page.requested()  # the image was asked for, and blocked before it was sent


def test_two_tabs_do_not_disturb_each_other(page: Page) -> None:
    page.open("/one-example?target=3&output=2.2")
    first = page.driver.current_window_handle
    page.driver.switch_to.new_window("tab")
    page.open("/one-example?target=1&output=5")
    assert page.text("#gradient") == "4"
    page.driver.close()
    page.driver.switch_to.window(first)
    type_into(page, "output", "2")
    page.wait("return document.querySelector('#gradient').textContent === '−1'")


def test_the_saved_figure_is_live_without_a_server(
    page: Page, start_browser: Callable[..., Any], tmp_path: Path
) -> None:
    path = save_example(explain_example(3.0, 2.2), tmp_path / "one.html")
    with start_browser(390, 844, dark=True) as driver:
        driver.get(path.as_uri())
        saved = Page(driver, path.as_uri())
        saved.wait("return window.halfsquare && halfsquare.views.size")
        assert signal(saved, "low") == DARK.low
        drag(saved, "output_handle", 120)
        assert signal(saved, "output") > 3
        assert "too high" in saved.text("#figure svg")
        assert driver.execute_script("return document.documentElement.scrollWidth") == 390
        assert barriers(saved) == []
        assert saved.complaints() == []
        assert saved.requested() == []

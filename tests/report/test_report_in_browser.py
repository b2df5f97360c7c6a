"""The report in a real browser, as on a laptop and as printed."""

from __future__ import annotations

import base64
import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.common.print_page_options import PrintOptions

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
WIDTH, HEIGHT = 1280, 720

pytestmark = pytest.mark.skipif(
    BROWSER is None or DRIVER is None,
    reason="needs chromium and chromedriver (Debian: chromium-driver)",
)


@pytest.fixture(scope="module")
def browser(report: Path) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = str(BROWSER)
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_argument(f"--window-size={WIDTH},{HEIGHT}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(str(DRIVER)))
    driver.get(report.as_uri())
    yield driver
    driver.quit()


def test_console_is_silent(browser: webdriver.Chrome) -> None:
    # A script's error, a picture that does not load, a missing icon: all are told.
    assert browser.get_log("browser") == []


def test_console_would_tell(browser: webdriver.Chrome) -> None:
    browser.execute_script("console.error('told')")
    assert "told" in browser.get_log("browser")[0]["message"]


def test_figures_are_visible(browser: webdriver.Chrome) -> None:
    figures = browser.find_elements(By.TAG_NAME, "figure")
    # The five of the paper; scores at the end and profiles, of both environments
    assert len(figures) == 9
    for picture in browser.find_elements(By.CSS_SELECTOR, "figure svg"):
        assert 300 < picture.size["width"] <= 600
        shot = Image.open(io.BytesIO(picture.screenshot_as_png)).convert("L")
        dark = sum(shot.histogram()[:200]) / (shot.width * shot.height)
        assert dark > 0.005, "the picture is blank"


def test_page_fits_a_telephone(browser: webdriver.Chrome) -> None:
    size = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    wide = "return document.documentElement.scrollWidth"
    assert browser.execute_script(wide) <= 390
    for picture in browser.find_elements(By.CSS_SELECTOR, "figure svg"):
        letters = picture.find_elements(By.TAG_NAME, "text")
        heights = [letter.rect["height"] for letter in letters]
        assert heights and min(heights) >= 10
    for caption in browser.find_elements(By.CSS_SELECTOR, "caption, figcaption"):
        assert caption.rect["width"] <= 390
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_curves_are_hidden_by_their_boxes(browser: webdriver.Chrome) -> None:
    figure = browser.find_element(By.TAG_NAME, "figure")
    curves = figure.find_elements(By.CSS_SELECTOR, '[id="curve-owqmix"]')
    # A line and a band in each of two panels
    assert len(curves) == 4
    box = figure.find_element(By.CSS_SELECTOR, 'input[value="owqmix"]')
    for is_shown in (False, True):
        box.click()
        assert {curve.is_displayed() for curve in curves} == {is_shown}
        others = figure.find_elements(By.CSS_SELECTOR, '[id="curve-remix"]')
        assert all(curve.is_displayed() for curve in others)


def test_pointer_reads_curves(browser: webdriver.Chrome) -> None:
    figure = browser.find_element(By.TAG_NAME, "figure")
    picture = figure.find_element(By.TAG_NAME, "svg")
    output = figure.find_element(By.TAG_NAME, "output")
    webdriver.ActionChains(browser).move_to_element(picture).perform()
    said = output.text.splitlines()
    assert said[0] == "1,000 frames"
    assert said[1:] == [f"{name}: 12 [11.5, 12.5]" for name in ("ReMIX", "OW-QMIX")]
    figure.find_element(By.CSS_SELECTOR, 'input[value="remix"]').click()
    webdriver.ActionChains(browser).move_to_element(picture).perform()
    assert output.text.splitlines()[1:] == ["OW-QMIX: 12 [11.5, 12.5]"]
    figure.find_element(By.CSS_SELECTOR, 'input[value="remix"]').click()


def test_page_does_not_overflow_a_laptop(browser: webdriver.Chrome) -> None:
    wide = "return document.documentElement.scrollWidth"
    assert browser.execute_script(wide) <= WIDTH


def test_text_is_large_enough_to_read(browser: webdriver.Chrome) -> None:
    size = "return parseFloat(getComputedStyle(arguments[0]).fontSize)"
    for selector in ("p", "td", "dd", "figure label", "figcaption", "pre"):
        element = browser.find_element(By.CSS_SELECTOR, selector)
        assert browser.execute_script(size, element) >= 12


def test_columns_sort_both_ways(browser: webdriver.Chrome) -> None:
    table = browser.find_elements(By.TAG_NAME, "table")[-1]
    button = next(
        b for b in table.find_elements(By.TAG_NAME, "button") if b.text == "last return"
    )
    shown = []
    for _ in range(2):
        button.click()
        cells = table.find_elements(By.CSS_SELECTOR, "tbody td:nth-child(6)")
        shown.append([float(cell.text) for cell in cells])
    assert shown[0] == sorted(shown[0])
    assert shown[1] == sorted(shown[0], reverse=True)
    assert len(set(shown[0])) > 1


def test_page_prints(browser: webdriver.Chrome) -> None:
    options = PrintOptions()
    options.page_width, options.page_height = 21.0, 29.7
    pdf = base64.b64decode(browser.print_page(options))
    assert pdf.startswith(b"%PDF")
    # Figures go onto paper: without them the pages are a tenth as large.
    assert len(pdf) > 50_000
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert not browser.find_element(By.CSS_SELECTOR, ".legend input").is_displayed()
    assert browser.find_element(By.CSS_SELECTOR, "figure svg").is_displayed()
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})

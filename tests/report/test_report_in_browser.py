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
    images = browser.find_elements(By.CSS_SELECTOR, "figure img")
    # The five of the paper; scores at the end and profiles, of both environments
    assert len(images) == 9
    for image in images:
        assert browser.execute_script("return arguments[0].naturalWidth", image) > 100
        assert image.is_displayed()
        assert 600 < image.size["width"] <= WIDTH
        picture = Image.open(io.BytesIO(image.screenshot_as_png)).convert("L")
        dark = sum(picture.histogram()[:200]) / (picture.width * picture.height)
        assert dark > 0.005, "the picture is blank"


def test_page_does_not_overflow_a_laptop(browser: webdriver.Chrome) -> None:
    wide = "return document.documentElement.scrollWidth"
    assert browser.execute_script(wide) <= WIDTH


def test_text_is_large_enough_to_read(browser: webdriver.Chrome) -> None:
    size = "return parseFloat(getComputedStyle(arguments[0]).fontSize)"
    for selector in ("p", "td", "figure label", "pre"):
        element = browser.find_element(By.CSS_SELECTOR, selector)
        assert browser.execute_script(size, element) >= 12


def test_slider_zooms_its_figure_alone(browser: webdriver.Chrome) -> None:
    first, second = browser.find_elements(By.CSS_SELECTOR, "figure")[:2]
    before = [f.find_element(By.TAG_NAME, "img").size["width"] for f in (first, second)]
    slider = first.find_element(By.TAG_NAME, "input")
    browser.execute_script(
        "arguments[0].value = 300; arguments[0].dispatchEvent(new Event('input'))",
        slider,
    )
    after = [f.find_element(By.TAG_NAME, "img").size["width"] for f in (first, second)]
    assert after[0] == pytest.approx(3 * before[0], rel=0.02)
    assert after[1] == before[1]
    assert first.find_element(By.TAG_NAME, "output").text == "300%"
    # The page itself stays as wide as it was: the figure scrolls in its frame.
    wide = "return document.documentElement.scrollWidth"
    assert browser.execute_script(wide) <= WIDTH


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
    assert not browser.find_element(By.CSS_SELECTOR, ".zoom").is_displayed()
    assert browser.find_element(By.CSS_SELECTOR, "figure img").is_displayed()
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
